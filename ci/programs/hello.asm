%define SEVEN 7
%macro  give 1
        mov eax, %1
        ret
%endmacro
        section .text
        global seven
seven:  give SEVEN
        section .data
words:  dd 1, 2, 3
        times 4 db 0
