// apply(): operations of different kinds on many keys, all or nothing.
#ifndef RKVS_STORE_NAMESPACE_ATOMIC_BATCH_H_
#define RKVS_STORE_NAMESPACE_ATOMIC_BATCH_H_

#include <rkvs/atomic_batch.h>
#include <rkvs/batch.h>

#include <vector>

#include "store/namespace_impl.h"
#include "store/namespace_write.h"

namespace rkvs::internal {

// What Namespace::apply does. `expiry`: of all operations, in the place of what their options say,
// unless nullptr.
BatchResult apply(NamespaceImpl& self, const std::vector<AtomicBatch::Operation>& operations,
                  const ExpiryChange* expiry = nullptr);

}  // namespace rkvs::internal

#endif  // RKVS_STORE_NAMESPACE_ATOMIC_BATCH_H_
