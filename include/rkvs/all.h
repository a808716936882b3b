// All of rkvs.
//
//   StorageManager  the store: namespaces, snapshots            <rkvs/manager.h>
//   Namespace       a map from keys to values                   <rkvs/namespace.h>
//   AutosaveConfig  what saves by itself, and when             <rkvs/autosave.h>
//   Value           the bytes of one value, shared, immutable   <rkvs/value.h>
//   BatchResult     what came of a batch, item by item          <rkvs/batch.h>
//   Status, Result  how every operation says what came of it    <rkvs/status.h>
#ifndef RKVS_ALL_H_
#define RKVS_ALL_H_

#include <rkvs/atomic_batch.h>
#include <rkvs/autosave.h>
#include <rkvs/batch.h>
#include <rkvs/manager.h>
#include <rkvs/namespace.h>
#include <rkvs/operation.h>
#include <rkvs/options.h>
#include <rkvs/scan.h>
#include <rkvs/stats.h>
#include <rkvs/status.h>
#include <rkvs/value.h>
#include <rkvs/version.h>
#include <rkvs/write_options.h>

#endif  // RKVS_ALL_H_
