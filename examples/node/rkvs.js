// A binding of the size that an application may write for itself: classes for the handles, Buffers
// for the bytes, exceptions for errors, `undefined` for what is not there, promises for what takes
// long.

import koffi from 'koffi';
import * as ffi from './ffi.js';

export const version = ffi.version_string();

// --- Errors --------------------------------------------------------------------------------------

export class RkvsError extends Error {
  constructor(code, message, index) {
    super(`${ffi.status_name(code)} (${code}): ${message}`);
    this.name = 'RkvsError';
    this.code = ffi.status_name(code); // a name, as Node's own errors have
    this.status = code; // the number
    this.index = index; // in batches: of the first item that failed
  }
}

// Makes an exception of a status and the rkvs_error that came with it, which is released.
function takeError(status, error) {
  if (!error) return new RkvsError(status, '', undefined);
  const index = Number(ffi.error_index(error));
  const taken = new RkvsError(status, ffi.error_message(error), index < 0 ? undefined : index);
  ffi.error_release(error);
  return taken;
}

// Calls a function whose last argument is the slot for an error. Returns RKVS_OK or an outcome.
function check(call, ...args) {
  const error = [null];
  const status = call(...args, error);
  if (status < 0) throw takeError(status, error[0]);
  return status;
}

// Names that hold a NUL would end early; C cannot refuse them, so this does.
function cString(name) {
  if (name.includes('\0')) throw new RangeError(`the name ${JSON.stringify(name)} holds a NUL`);
  return name;
}

// --- Handles -------------------------------------------------------------------------------------

// What nobody released is released when it is garbage. The library does not mind the order.
const forgotten = new FinalizationRegistry(({ pointer, release }) => release(pointer));

class Handle {
  #pointer;
  #release;

  constructor(pointer, release) {
    this.#pointer = pointer;
    this.#release = release;
    forgotten.register(this, { pointer, release }, this);
  }

  // koffi passes null on as NULL, which every function refuses: no use after release.
  get pointer() {
    return this.#pointer;
  }

  // Gives the handle back; may be called again.
  release() {
    if (this.#pointer === null) return;
    forgotten.unregister(this);
    this.#release(this.#pointer);
    this.#pointer = null;
  }
}

// --- The store -----------------------------------------------------------------------------------

export class Manager extends Handle {
  #completions = new Completions();

  // Opens a store whose snapshots live in `directory`, with what `file` holds.
  static open({ directory, file }) {
    const slot = [null];
    const options = { struct_size: ffi.ManagerOptions.size, directory: cString(directory) };
    check(ffi.manager_open, ffi.ABI_VERSION, options, slot);
    const manager = new Manager(slot[0], ffi.manager_release);
    check(ffi.manager_initialize_file, manager.pointer, cString(file), null);
    return manager;
  }

  // Limits that are not given are none.
  createNamespace(name, { maxKeys = 0, maxValueSize = 0 } = {}) {
    const slot = [null];
    const config = {
      struct_size: ffi.NamespaceConfig.size,
      max_keys: maxKeys,
      max_value_size: maxValueSize,
    };
    check(ffi.manager_create_namespace, this.pointer, cString(name), config, slot);
    return new Namespace(slot[0], ffi.namespace_release);
  }

  getNamespace(name) {
    const slot = [null];
    check(ffi.manager_get_namespace, this.pointer, cString(name), slot);
    return new Namespace(slot[0], ffi.namespace_release);
  }

  // Saves in the background; resolves when the file is complete, synced and under its name.
  saveAll(file) {
    return this.#completions.expect((how) =>
      check(ffi.manager_save_all_async, this.pointer, cString(file), how, null, null));
  }

  // Ends the store: what is in flight completes, and every handle says RKVS_E_CLOSED from then on.
  // Waits for saves that are on, and so blocks the event loop that long: await them first.
  close() {
    check(ffi.manager_close, this.pointer);
    this.#completions.close();
  }
}

// --- Namespaces ----------------------------------------------------------------------------------

// Strings are taken as UTF-8.
const toBytes = (of) => (typeof of === 'string' ? Buffer.from(of) : of);

// Any number of byte strings as one buffer, with count + 1 offsets into it.
function pack(list) {
  const parts = list.map(toBytes);
  const offsets = new BigUint64Array(parts.length + 1);
  let end = 0n;
  parts.forEach((part, i) => {
    end += BigInt(part.byteLength);
    offsets[i + 1] = end;
  });
  return { bytes: Buffer.concat(parts), offsets };
}

// An array in the library's memory as it is there. Not to be used when its owner is released.
const peek = (Type, pointer, count) =>
  count === 0 ? new Type(0) : new Type(koffi.view(pointer, count * Type.BYTES_PER_ELEMENT));

export class Namespace extends Handle {
  static #buffer = Buffer.allocUnsafe(4096); // for values on their way out

  put(key, value) {
    key = toBytes(key);
    value = toBytes(value);
    check(ffi.namespace_put, this.pointer, key, key.byteLength, value, value.byteLength, null);
  }

  // A Buffer, or undefined for a key that is not there.
  get(key) {
    key = toBytes(key);
    const size = [0];
    for (;;) {
      const buffer = Namespace.#buffer;
      const status = check(ffi.namespace_get_into, this.pointer, key, key.byteLength, buffer,
        buffer.byteLength, size);
      if (status === ffi.NOT_FOUND) return undefined;
      if (size[0] <= buffer.byteLength) return Buffer.copyBytesFrom(buffer, 0, size[0]);
      Namespace.#buffer = Buffer.allocUnsafe(size[0]); // and once more, for it may have grown
    }
  }

  // Takes what a Map takes. All of it is written at one instant, or nothing.
  setMultiple(items) {
    const list = [...items];
    const keys = pack(list.map(([key]) => key));
    const values = pack(list.map(([, value]) => value));
    check(ffi.namespace_set_multiple_packed, this.pointer, keys.bytes, keys.offsets, values.bytes,
      values.offsets, list.length, ffi.ALL_OR_NOTHING, null, null);
  }

  // The values in the order of the keys, undefined for those that are not there.
  getMultiple(list) {
    const keys = pack(list);
    const slot = [null];
    check(ffi.namespace_get_multiple_packed, this.pointer, keys.bytes, keys.offsets, list.length,
      ffi.BEST_EFFORT, slot);
    try {
      const view = { struct_size: ffi.BatchView.size };
      check(ffi.batch_result_view, slot[0], view);
      const statuses = peek(Int32Array, view.statuses, list.length);
      const offsets = peek(BigUint64Array, view.value_offsets, list.length + 1);
      const bytes = peek(Uint8Array, view.values, Number(offsets[list.length]));
      return Array.from(statuses, (status, i) => {
        if (status === ffi.NOT_FOUND) return undefined;
        if (status !== ffi.OK) throw new RkvsError(status, 'in a batch', i);
        return Buffer.from(bytes.slice(Number(offsets[i]), Number(offsets[i + 1]))); // a copy
      });
    } finally {
      ffi.batch_result_release(slot[0]);
    }
  }
}

// --- Completions ---------------------------------------------------------------------------------

// A queue whose completions settle promises, on Node's own thread: its file descriptor is watched
// by the event loop, and no other thread ever enters JavaScript.
class Completions {
  #queue = null;
  #watch = null;
  #waiting = new Map(); // tag -> the promise's functions
  #lastTag = 0;

  // `start` is called with an rkvs_async and begins the operation.
  expect(start) {
    this.#open();
    const tag = ++this.#lastTag;
    return new Promise((resolve, reject) => {
      start({ struct_size: ffi.Async.size, queue: this.#queue.pointer, tag }); // may throw
      this.#waiting.set(tag, { resolve, reject });
      this.#watch.ref(); // the program does not end while a promise is open
    });
  }

  close() {
    if (this.#queue === null) return;
    this.#settle(); // closing the store has completed everything
    this.#watch.close();
    this.#queue.release();
    this.#queue = null;
  }

  #open() {
    if (this.#queue !== null) return;
    const slot = [null];
    check(ffi.queue_create, slot);
    this.#queue = new Handle(slot[0], ffi.queue_release);
    this.#watch = koffi.node.poll(ffi.queue_fd(slot[0]), { readable: true }, () => this.#settle());
    this.#watch.unref();
  }

  #settle() {
    for (;;) {
      const completion = {};
      const count = [0];
      check(ffi.queue_poll, this.#queue.pointer, completion, 1, count);
      if (Number(count[0]) === 0) break;
      const promise = this.#waiting.get(Number(completion.tag));
      this.#waiting.delete(Number(completion.tag));
      if (completion.status < 0) {
        promise.reject(takeError(completion.status, completion.error));
        completion.error = null; // taken
      } else {
        promise.resolve();
      }
      ffi.completion_clear(completion);
    }
    if (this.#waiting.size === 0) this.#watch.unref();
  }
}
