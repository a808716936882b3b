// Names for Clang's thread-safety attributes (-Wthread-safety); empty for other compilers.
#ifndef RKVS_BASE_THREAD_ANNOTATIONS_H_
#define RKVS_BASE_THREAD_ANNOTATIONS_H_

#if defined(__clang__)
#define RKVS_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define RKVS_THREAD_ATTRIBUTE(x)
#endif

#define RKVS_CAPABILITY(name) RKVS_THREAD_ATTRIBUTE(capability(name))
#define RKVS_SCOPED_CAPABILITY RKVS_THREAD_ATTRIBUTE(scoped_lockable)
#define RKVS_GUARDED_BY(m) RKVS_THREAD_ATTRIBUTE(guarded_by(m))
#define RKVS_PT_GUARDED_BY(m) RKVS_THREAD_ATTRIBUTE(pt_guarded_by(m))
#define RKVS_ACQUIRED_BEFORE(...) RKVS_THREAD_ATTRIBUTE(acquired_before(__VA_ARGS__))
#define RKVS_ACQUIRED_AFTER(...) RKVS_THREAD_ATTRIBUTE(acquired_after(__VA_ARGS__))
#define RKVS_REQUIRES(...) RKVS_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define RKVS_REQUIRES_SHARED(...) RKVS_THREAD_ATTRIBUTE(requires_shared_capability(__VA_ARGS__))
#define RKVS_EXCLUDES(...) RKVS_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define RKVS_ACQUIRE(...) RKVS_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define RKVS_ACQUIRE_SHARED(...) RKVS_THREAD_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#define RKVS_RELEASE(...) RKVS_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define RKVS_RELEASE_SHARED(...) RKVS_THREAD_ATTRIBUTE(release_shared_capability(__VA_ARGS__))
#define RKVS_RELEASE_GENERIC(...) RKVS_THREAD_ATTRIBUTE(release_generic_capability(__VA_ARGS__))
#define RKVS_TRY_ACQUIRE(...) RKVS_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define RKVS_TRY_ACQUIRE_SHARED(...) \
  RKVS_THREAD_ATTRIBUTE(try_acquire_shared_capability(__VA_ARGS__))
#define RKVS_ASSERT_CAPABILITY(x) RKVS_THREAD_ATTRIBUTE(assert_capability(x))
#define RKVS_ASSERT_SHARED_CAPABILITY(x) RKVS_THREAD_ATTRIBUTE(assert_shared_capability(x))
#define RKVS_NO_THREAD_SAFETY_ANALYSIS RKVS_THREAD_ATTRIBUTE(no_thread_safety_analysis)

#endif  // RKVS_BASE_THREAD_ANNOTATIONS_H_
