/* An allocator with the functions of malloc, whose calloc checks for overflow or does not; and
   mistakes that the caller of a conformance run may make. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mallory.h"

static void *its_malloc(void *context, size_t size) {
  (void)context;
  return malloc(size);
}

static void its_free(void *context, void *block) {
  (void)context;
  free(block);
}

static void *its_realloc(void *context, void *block, size_t size) {
  (void)context;
  return realloc(block, size);
}

static void *its_calloc(void *context, size_t count, size_t size) {
  const int *looks = context;
  if (*looks && size != 0 && count > SIZE_MAX / size) return NULL;
  /* Planted if it does not check: the product wraps, and a block of that size is granted. */
  void *block = malloc(count * size);
  if (block != NULL) memset(block, 0, count * size);
  return block;
}

static void no_renewal(void *context) { (void)context; }

int main(int count, char **arguments) {
  const char *which = count > 1 ? arguments[1] : "";
  static int looks;
  looks = strstr(which, "wraps") == NULL;
  mallory_memory memory = {.context = &looks,
                           .malloc = its_malloc,
                           .calloc = its_calloc,
                           .realloc = its_realloc,
                           .free = its_free};
  mallory_conformance_options options = {.operations = 2048, .seed = 3, .max_size = 4096};
  if (strcmp(which, "null") == 0) return mallory_conformance_memory("callocs", NULL, NULL);
  if (strcmp(which, "no-malloc") == 0) memory.malloc = NULL;
  if (strcmp(which, "no-renew") == 0) options.fixed = 4096;
  if (strcmp(which, "bad-lines") == 0) options.sequence = "free a1";
  if (strncmp(which, "again", 5) == 0) {
    options.renew = no_renewal;
    options.sequence = "  a1 = zeroed max align 1";
  }
  const char *name = strcmp(which, "bad-name") == 0 ? "Bad name" : "callocs";
  return mallory_conformance_memory(name, &memory, &options);
}
