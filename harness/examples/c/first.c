#include <string.h>
#include "mallory.h"

static int subject(mallory_heap *heap, void *unused) {
  char *text = mallory_malloc(heap, 16);
  if (text == NULL) return MALLORY_NO_MEMORY;
  strcpy(text, "fails well");
  mallory_say(text); /* compared with what the run without a fault says */
  mallory_free(heap, text);
  return MALLORY_OK;
}
int main(void) {
  return mallory_sweep("first", subject, NULL, NULL);
}
