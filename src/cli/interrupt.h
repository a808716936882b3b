// Signals that ask the tool to end: noticed between steps, so that temporary files go away.
#ifndef RKVS_CLI_INTERRUPT_H_
#define RKVS_CLI_INTERRUPT_H_

#include <rkvs/status.h>

namespace rkvs::cli {

// From here on SIGINT, SIGTERM and SIGHUP are remembered instead of ending the process (a second
// one ends it at once), and writing into a closed pipe is an error (EPIPE) instead of a signal.
void handle_signals();

// Cancelled once a signal has come. System calls that wait end with EINTR then.
Status check_interrupted();

// Waits until `fd` can be read, or has come to its end. Cancelled once a signal has come, also
// where it comes right before the wait.
Status wait_for_input(int fd);

// Ends the process by the signal that has come, as if it had not been caught; returns where none
// has. The shell sees the truth, and whatever ran has cleaned up.
void end_if_interrupted();

}  // namespace rkvs::cli

#endif  // RKVS_CLI_INTERRUPT_H_
