// What a program outside this repository does with rkvs: the example of the README.
#include <rkvs/all.h>

#include <iostream>

int main() {
  rkvs::StorageManager manager;
  if (rkvs::Status status = manager.initialize(); !status.ok()) {
    std::cerr << "initialize: " << status.message() << '\n';
    return 1;
  }

  rkvs::Result<rkvs::Namespace> users = manager.create_namespace("users");
  if (!users.ok()) {
    std::cerr << "create_namespace: " << users.status().message() << '\n';
    return 1;
  }

  users->set("ada", "countess");
  rkvs::Result<rkvs::Value> ada = users->get("ada");
  rkvs::Result<rkvs::Value> bob = users->get("bob");
  if (!ada.ok() || bob.ok() || bob.status().code() != rkvs::StatusCode::kNotFound) {
    std::cerr << "get: expected ada and no bob\n";
    return 1;
  }

  std::cout << "ada is " << ada->view() << '\n';
  return ada->view() == "countess" ? 0 : 1;
}
