words = "pack my box with five dozen jugs".split()
print(sorted(word.upper() for word in words), {len(word) for word in words} == {2, 3, 4, 5})
try:
    [][1]
except IndexError as error:
    print(type(error).__name__, f"{3.14159:.3f}", 2 ** 100)
