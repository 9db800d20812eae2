OBJECTS := $(patsubst %,%.o,one two three)
all: $(OBJECTS) ; @echo linked $(words $^) objects: $(sort $^)
%.o: ; @:
.PHONY: all $(OBJECTS)
