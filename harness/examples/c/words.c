/* A plain C program: sweeps a C function that takes its memory from a table of functions.

   The function has a planted leak: `words leak` finds it, `words` sweeps the fixed function.
   docs/c.md says how to build it. */

#include <stdio.h>
#include <string.h>

#include "mallory.h"

/* ---- a small library that knows nothing of Mallory ---- */

/* The allocator of the library. */
struct words_memory {
  void *context;
  void *(*allocate)(void *context, size_t size);
  void *(*resize)(void *context, void *block, size_t size);
  void (*release)(void *context, void *block);
};

struct words {
  const struct words_memory *memory;
  char **list;
  size_t count, room;
};

/* Adds a copy of a word. Returns 0 if there is no memory; nothing has changed then. */
static int words_add(struct words *words, const char *start, size_t length, int leaks) {
  const struct words_memory *memory = words->memory;
  char *copy = memory->allocate(memory->context, length + 1);
  if (copy == NULL) return 0;
  memcpy(copy, start, length);
  copy[length] = '\0';
  if (words->count == words->room) {
    size_t room = words->room == 0 ? 2 : 2 * words->room;
    char **list = memory->resize(memory->context, words->list, room * sizeof *list);
    if (list == NULL) {
      /* The planted bug: the copy is not freed. */
      if (!leaks) memory->release(memory->context, copy);
      return 0;
    }
    words->list = list;
    words->room = room;
  }
  words->list[words->count++] = copy;
  return 1;
}

static void words_drop(struct words *words) {
  const struct words_memory *memory = words->memory;
  for (size_t nth = 0; nth < words->count; nth++)
    memory->release(memory->context, words->list[nth]);
  memory->release(memory->context, words->list);
}

/* Splits a text into words. Returns 0 if there is no memory. */
static int words_split(struct words *words, const char *text, int leaks) {
  for (;;) {
    text += strspn(text, " ");
    size_t length = strcspn(text, " ");
    if (length == 0) return 1;
    if (!words_add(words, text, length, leaks)) return 0;
    text += length;
  }
}

/* ---- the sweep ---- */

static int subject(mallory_heap *heap, void *user_data) {
  /* The heap's functions fit into the library's table as they are. */
  struct words_memory memory = {heap, mallory_malloc, mallory_realloc, mallory_free};
  struct words words = {&memory, NULL, 0, 0};
  int leaks = *(const int *)user_data;
  int done = words_split(&words, "memory that is there or an error", leaks);
  if (done) {
    for (size_t nth = 0; nth < words.count; nth++) {
      mallory_say(words.list[nth]);
      mallory_say("\n");
    }
  }
  words_drop(&words);
  return done ? MALLORY_OK : MALLORY_NO_MEMORY;
}

int main(int count, char **arguments) {
  int leaks = count > 1 && strcmp(arguments[1], "leak") == 0;
  return mallory_sweep(leaks ? "words-leak" : "words", subject, &leaks, NULL);
}
