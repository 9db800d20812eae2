%{
int yylex(void);
void yyerror(const char *text);
%}
%token NUMBER
%left '+' '-'
%left '*'
%%
line: line sum '\n' | ;
sum: sum '+' sum { $$ = $1 + $3; } | sum '-' sum { $$ = $1 - $3; } | sum '*' sum { $$ = $1 * $3; } | NUMBER;
%%
