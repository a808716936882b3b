// What the few functions say that every operation goes through.
#ifndef RKVS_BASE_HOT_PATH_H_
#define RKVS_BASE_HOT_PATH_H_

// A function that keeps nothing on its stack but numbers and pointers needs no guard against
// writing beyond an array; gcc gives it one all the same where it has seen a copy by memcpy() on
// the way, which is six instructions of some 150.
#if defined(__has_cpp_attribute) && __has_cpp_attribute(gnu::no_stack_protector)
#define RKVS_SCALARS_ONLY [[gnu::no_stack_protector]]
#else
#define RKVS_SCALARS_ONLY
#endif

#endif  // RKVS_BASE_HOT_PATH_H_
