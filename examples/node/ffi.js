// The part of <rkvs.h> that this example uses, as koffi reads it. What each function does, and who
// owns what, is said there. Pointers are BigInts here, and slots for results arrays of one element.

import koffi from 'koffi';

// RKVS_LIBRARY: a path to the library, where the system does not find it by its name.
const library = koffi.load(process.env.RKVS_LIBRARY ?? 'librkvs.so.1');
const f = (declaration) => library.func(declaration);

export const ABI_VERSION = 1;

export const OK = 0;
export const NOT_FOUND = 1;
export const PENDING = 17;
export const E_CLOSED = -4;

export const ALL_OR_NOTHING = 0;
export const BEST_EFFORT = 1;

for (const name of ['manager', 'namespace', 'batch_result', 'list', 'value', 'queue', 'operation',
    'error', 'write_options', 'operation_options']) {
  koffi.opaque(`rkvs_${name}`);
}

export const ManagerOptions = koffi.struct('rkvs_manager_options', {
  struct_size: 'uint32_t',
  flags: 'uint32_t',
  max_namespaces: 'uint64_t',
  max_bytes: 'uint64_t',
  max_load_bytes: 'uint64_t',
  directory: 'const char *',
  log: 'void *',
  log_user: 'void *',
  worker_threads: 'uint32_t',
  reserved: 'uint32_t',
  manager_autosave: 'void *',
  namespace_autosave: 'void *',
  namespace_autosave_count: 'size_t',
});

export const NamespaceConfig = koffi.struct('rkvs_namespace_config', {
  struct_size: 'uint32_t',
  shard_count: 'uint32_t',
  max_keys: 'uint64_t',
  max_value_size: 'uint64_t',
  max_key_size: 'uint64_t',
  max_bytes: 'uint64_t',
  lock_timeout_ms: 'uint64_t',
});

export const BatchView = koffi.struct('rkvs_batch_view', {
  struct_size: 'uint32_t',
  status: 'int32_t',
  count: 'uint64_t',
  total_processed: 'uint64_t',
  duration_ns: 'uint64_t',
  statuses: 'void *', // int32_t[count]
  versions: 'void *',
  has_value: 'void *', // uint8_t[count]
  values: 'void *',
  value_offsets: 'void *', // uint64_t[count + 1]
  keys: 'void *',
  key_offsets: 'void *',
});

export const Async = koffi.struct('rkvs_async', {
  struct_size: 'uint32_t',
  flags: 'uint32_t',
  queue: 'rkvs_queue *',
  callback: 'void *',
  user: 'void *',
  tag: 'uint64_t',
  timeout_ms: 'uint64_t',
  progress: 'void *',
  progress_user: 'void *',
});

export const Completion = koffi.struct('rkvs_completion', {
  tag: 'uint64_t',
  user: 'void *',
  status: 'int32_t',
  kind: 'int32_t',
  value: 'rkvs_value *',
  data: 'void *',
  size: 'uint64_t',
  version: 'uint64_t',
  number: 'int64_t',
  batch: 'rkvs_batch_result *',
  list: 'rkvs_list *',
  ns: 'rkvs_namespace *',
  error: 'rkvs_error *',
  reserved: koffi.array('uint64_t', 3),
});

export const version_string = f('const char *rkvs_version_string(void)');
export const status_name = f('const char *rkvs_status_name(int32_t status)');
const size_of = f('size_t rkvs_sizeof(int32_t type)');

export const error_message = f('const char *rkvs_error_message(const rkvs_error *error)');
export const error_index = f('int64_t rkvs_error_index(const rkvs_error *error)');
export const error_release = f('void rkvs_error_release(rkvs_error *error)');

export const manager_open = f(`int32_t rkvs_manager_open(uint32_t abi_version,
    const rkvs_manager_options *options, _Out_ rkvs_manager **manager, _Out_ rkvs_error **error)`);
export const manager_initialize_file = f(`int32_t rkvs_manager_initialize_file(
    rkvs_manager *manager, const char *file, const rkvs_operation_options *options,
    _Out_ rkvs_error **error)`);
export const manager_create_namespace = f(`int32_t rkvs_manager_create_namespace(
    rkvs_manager *manager, const char *name, const rkvs_namespace_config *config,
    _Out_ rkvs_namespace **ns, _Out_ rkvs_error **error)`);
export const manager_get_namespace = f(`int32_t rkvs_manager_get_namespace(rkvs_manager *manager,
    const char *name, _Out_ rkvs_namespace **ns, _Out_ rkvs_error **error)`);
export const manager_save_all_async = f(`int32_t rkvs_manager_save_all_async(
    rkvs_manager *manager, const char *file, const rkvs_async *how, rkvs_completion *out,
    void *operation, _Out_ rkvs_error **error)`);
export const manager_close = f(`int32_t rkvs_manager_close(rkvs_manager *manager,
    _Out_ rkvs_error **error)`);
export const manager_release = f('void rkvs_manager_release(rkvs_manager *manager)');

export const namespace_put = f(`int32_t rkvs_namespace_put(rkvs_namespace *ns, const void *key,
    size_t key_size, const void *value, size_t value_size, const rkvs_write_options *options,
    _Out_ rkvs_error **error)`);
export const namespace_get_into = f(`int32_t rkvs_namespace_get_into(rkvs_namespace *ns,
    const void *key, size_t key_size, void *buffer, size_t capacity, _Out_ size_t *size,
    _Out_ rkvs_error **error)`);
export const namespace_set_multiple_packed = f(`int32_t rkvs_namespace_set_multiple_packed(
    rkvs_namespace *ns, const void *keys, const uint64_t *key_offsets, const void *values,
    const uint64_t *value_offsets, size_t count, int32_t mode, const rkvs_write_options *options,
    void *result, _Out_ rkvs_error **error)`);
export const namespace_get_multiple_packed = f(`int32_t rkvs_namespace_get_multiple_packed(
    rkvs_namespace *ns, const void *keys, const uint64_t *key_offsets, size_t count, int32_t mode,
    _Out_ rkvs_batch_result **result, _Out_ rkvs_error **error)`);
export const namespace_release = f('void rkvs_namespace_release(rkvs_namespace *ns)');

export const batch_result_view = f(`int32_t rkvs_batch_result_view(rkvs_batch_result *result,
    _Inout_ rkvs_batch_view *view, _Out_ rkvs_error **error)`);
export const batch_result_release = f('void rkvs_batch_result_release(rkvs_batch_result *result)');

export const queue_create = f(`int32_t rkvs_queue_create(_Out_ rkvs_queue **queue,
    _Out_ rkvs_error **error)`);
export const queue_fd = f('int32_t rkvs_queue_fd(rkvs_queue *queue)');
export const queue_poll = f(`int32_t rkvs_queue_poll(rkvs_queue *queue,
    _Out_ rkvs_completion *completions, size_t capacity, _Out_ size_t *count,
    _Out_ rkvs_error **error)`);
export const queue_close = f('int32_t rkvs_queue_close(rkvs_queue *queue, _Out_ rkvs_error **error)');
export const queue_release = f('void rkvs_queue_release(rkvs_queue *queue)');
export const completion_clear = f('void rkvs_completion_clear(_Inout_ rkvs_completion *completion)');

// Whether the structures above are laid out as in the library. Those with a struct_size may have
// grown in it since; the others never change.
for (const [type, id] of [[ManagerOptions, 1], [NamespaceConfig, 3], [BatchView, 13], [Async, 14]]) {
  if (size_of(id) < type.size) throw new Error(`${type.name}: ${type.size} bytes, not ${size_of(id)}`);
}
if (size_of(15) !== Completion.size) throw new Error('rkvs_completion is laid out differently');
