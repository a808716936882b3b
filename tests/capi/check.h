/* What the C programs that test the C API share. Static: each is one file. */
#ifndef RKVS_TESTS_CAPI_CHECK_H_
#define RKVS_TESTS_CAPI_CHECK_H_

#include <rkvs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures = 0;

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                             \
    }                                                                         \
  } while (0)
#define CHECK_OK(call) CHECK((call) == RKVS_OK)

static char directory[512];

/* Makes the directory; 0 where that cannot be. */
static int make_directory(void) {
  const char* place = getenv("TMPDIR");
  if (place == NULL || *place == '\0') place = "/tmp";
  if (strlen(place) > sizeof directory - 32) return 0;
  sprintf(directory, "%s/rkvs_c_test.XXXXXX", place);
  return mkdtemp(directory) != NULL;
}

/* Removes it, and says how the program ended. */
static int finish_tests(void) {
  char command[sizeof directory + 16];
  sprintf(command, "rm -r '%s'", directory);
  CHECK(system(command) == 0);
  if (failures != 0) fprintf(stderr, "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}

static int is_bytes(const void* data, size_t size, const char* expected) {
  return size == strlen(expected) && memcmp(data, expected, size) == 0;
}

#endif /* RKVS_TESTS_CAPI_CHECK_H_ */
