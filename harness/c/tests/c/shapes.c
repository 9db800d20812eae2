/* A heap in each form of allocator that C libraries take, and an allocator of C's below a heap.
   A check that fails prints its line, and the program ends with 9. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mallory.h"

#define CHECK(what)                                              \
  do {                                                           \
    if (!(what)) {                                               \
      printf("line %d: %s\n", __LINE__, #what);                  \
      fflush(stdout);                                            \
      mallory_say("failed");                                     \
      return 9;                                                  \
    }                                                            \
  } while (0)

/* ---- the functions of malloc ---- */

static int words_of_malloc(mallory_heap *heap, void *user_data) {
  (void)user_data;
  mallory_memory memory = mallory_heap_memory(heap);
  CHECK(memory.calloc(memory.context, SIZE_MAX / 2 + 1, 2) == NULL);
  CHECK(memory.malloc(memory.context, SIZE_MAX) == NULL);
  CHECK(memory.usable_size(memory.context, NULL) == 0);
  CHECK(memory.aligned_alloc(memory.context, 3, 8) == NULL);
  memory.free(memory.context, NULL);

  char *block = memory.realloc(memory.context, NULL, 100);
  if (block == NULL) return MALLORY_NO_MEMORY;
  CHECK((uintptr_t)block % sizeof(long double) == 0);
  CHECK(memory.usable_size(memory.context, block) == 100);
  memset(block, 7, 100);
  char *larger = memory.realloc(memory.context, block, 1000);
  if (larger == NULL) {
    /* A refused one leaves the block as it was. */
    CHECK(block[99] == 7 && memory.usable_size(memory.context, block) == 100);
    memory.free(memory.context, block);
    return MALLORY_NO_MEMORY;
  }
  CHECK(larger[99] == 7);
  CHECK(memory.realloc(memory.context, larger, 0) == NULL);

  unsigned char *zeroes = memory.calloc(memory.context, 10, 10);
  if (zeroes == NULL) return MALLORY_NO_MEMORY;
  for (int nth = 0; nth < 100; nth++) CHECK(zeroes[nth] == 0);
  memory.free(memory.context, zeroes);

  void *aligned = &aligned;
  CHECK(mallory_posix_memalign(heap, &aligned, 3, 8) == 22 && aligned == &aligned);
  int code = mallory_posix_memalign(heap, &aligned, 256, 24);
  CHECK(code == 0 || (code == 12 && aligned == &aligned));
  if (code != 0) return MALLORY_NO_MEMORY;
  CHECK((uintptr_t)aligned % 256 == 0 && mallory_usable_size(heap, aligned) == 24);
  mallory_free(heap, aligned);
  return MALLORY_OK;
}

/* ---- a library without a context ---- */

MALLORY_SLOT(library)

static int slot(mallory_heap *heap, void *user_data) {
  (void)user_data;
  CHECK(library_malloc(1) == NULL);
  library_heap = heap;
  char *text = library_calloc(4, 4);
  char *more = text == NULL ? NULL : library_realloc(text, 32);
  library_free(more == NULL ? text : more);
  void *page = library_aligned_alloc(64, 64);
  int has_page = page != NULL;
  CHECK(!has_page || library_usable_size(page) == 64);
  library_free(page);
  library_heap = NULL;
  return more != NULL && has_page ? MALLORY_OK : MALLORY_NO_MEMORY;
}

/* ---- two libraries without a context, and a user who confuses them ---- */

MALLORY_SLOT(other)

static int two_slots(mallory_heap *heap, void *user_data) {
  const char *which = user_data;
  library_heap = heap;
  other_heap = mallory_heap_named(heap, "other");
  char *text = library_malloc(24);
  char *copy = other_malloc(24);
  int done = text != NULL && copy != NULL;
  if (text != NULL && copy != NULL) {
    memcpy(text, "a slot for each library", 24);
    memcpy(copy, text, 24);
    if (strcmp(which, "slots-grow") == 0 && other_realloc(text, 48) != NULL) done = 9;
  }
  /* Planted: a block of one library is freed through the other, and a block is freed when its
     library's heap has left the slot. */
  if (strcmp(which, "slots-mixed") == 0) {
    other_free(text);
  } else if (strcmp(which, "slots-late") != 0) {
    library_free(text);
  }
  other_free(copy);
  library_heap = NULL;
  if (strcmp(which, "slots-late") == 0) library_free(text);
  mallory_heap_drop(other_heap);
  other_heap = NULL;
  return done == 9 ? 9 : done ? MALLORY_OK : MALLORY_NO_MEMORY;
}

/* ---- a heap as a table with sizes, its diagnostics, and a wrong size ---- */

static int table(mallory_heap *heap, void *user_data) {
  mallory_port port = mallory_heap_port(heap);
  uint64_t failures = port.failures(port.context);
  char *block = port.alloc(port.context, 40, 8);
  if (block == NULL) {
    CHECK(port.failures(port.context) == failures + 1);
    return MALLORY_NO_MEMORY;
  }
  CHECK(port.bytes_outstanding(port.context) == 40);
  CHECK(port.alloc(port.context, 40, 3) == NULL);
  CHECK(port.alloc_zeroed(port.context, 40, 0) == NULL);
  char *larger = port.resize(port.context, block, 40, 80, 8);
  int has_larger = larger != NULL;
  size_t size = has_larger ? 80 : 40;
  CHECK(port.bytes_outstanding(port.context) == size);
  /* Planted with `lie`: another size than the block's. */
  size_t lie = *(const int *)user_data ? 1 : 0;
  port.free(port.context, has_larger ? larger : block, size - lie, 8);
  CHECK(lie || port.bytes_outstanding(port.context) == 0);
  CHECK(port.peak(port.context) >= 40);
  return has_larger ? MALLORY_OK : MALLORY_NO_MEMORY;
}

/* ---- wrong frees without a size ---- */

static int wrong_frees(mallory_heap *heap, void *user_data) {
  const char *which = user_data;
  char *block = mallory_malloc(heap, 24);
  if (block == NULL) return MALLORY_NO_MEMORY;
  if (strcmp(which, "cross") == 0) {
    mallory_heap *other = mallory_heap_named(heap, "other");
    mallory_free(other, block);
    mallory_heap_drop(other);
    return MALLORY_OK;
  }
  if (strcmp(which, "inside") == 0) mallory_free(heap, block + 8);
  mallory_free(heap, block);
  if (strcmp(which, "twice") == 0) mallory_free(heap, block);
  if (strcmp(which, "realloc") == 0 && mallory_realloc(heap, block, 48) != NULL) return 9;
  return MALLORY_OK;
}

/* ---- an allocator of C's below the heap ---- */

struct counted {
  uint64_t outstanding, failures;
};

static void *counted_alloc(void *context, size_t size, size_t align) {
  struct counted *counted = context;
  void *block = NULL;
  if (posix_memalign(&block, align < sizeof(void *) ? sizeof(void *) : align, size) != 0) {
    counted->failures++;
    return NULL;
  }
  counted->outstanding += size;
  return block;
}

static void counted_free(void *context, void *block, size_t size, size_t align) {
  (void)align;
  ((struct counted *)context)->outstanding -= size;
  free(block);
}

static int on_a_port(mallory_heap *heap, void *user_data) {
  struct counted *counted = user_data;
  CHECK(counted->outstanding == 0);
  char *block = mallory_malloc(heap, 500);
  if (block == NULL) return MALLORY_NO_MEMORY;
  CHECK(counted->outstanding >= 500);
  mallory_free(heap, block);
  return MALLORY_OK;
}

int main(int count, char **arguments) {
  const char *which = count > 1 ? arguments[1] : "";
  if (strcmp(which, "malloc") == 0) return mallory_sweep("malloc", words_of_malloc, NULL, NULL);
  if (strcmp(which, "slot") == 0) return mallory_sweep("slot", slot, NULL, NULL);
  if (strncmp(which, "slots", 5) == 0)
    return mallory_sweep("slots", two_slots, arguments[1], NULL);
  int lies = strcmp(which, "table-lie") == 0;
  if (lies || strcmp(which, "table") == 0) return mallory_sweep("table", table, &lies, NULL);
  if (strcmp(which, "port") == 0) {
    static struct counted counted;
    mallory_port port = {.context = &counted, .alloc = counted_alloc, .free = counted_free};
    mallory_options options = {.port = &port, .seed = 7, .jobs = 2, .strict = true};
    return mallory_sweep("port", on_a_port, &counted, &options);
  }
  if (strcmp(which, "no-free") == 0) {
    mallory_port port = {.alloc = counted_alloc};
    mallory_options options = {.port = &port};
    return mallory_sweep("no-free", on_a_port, NULL, &options);
  }
  if (strcmp(which, "bad-name") == 0) return mallory_sweep("Bad name", slot, NULL, NULL);
  if (strcmp(which, "null") == 0) return mallory_sweep("null", NULL, NULL, NULL);
  return mallory_sweep("frees", wrong_frees, arguments[1], NULL);
}
