// Compiles a regular expression. Where the C library has no memory for a part of it, it frees another one
// twice, and loses some.
#include <regex.h>
#include <stdio.h>

int main(void) {
    regex_t expression;
    if (regcomp(&expression, "x(a|b)", REG_EXTENDED)) return fputs("no memory\n", stderr), 1;
    regfree(&expression);
    return 0;
}
