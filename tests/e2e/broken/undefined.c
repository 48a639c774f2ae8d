/* A shared library that needs a function which nobody has. */
extern void nobody_has_this_function(void);

void call(void) { nobody_has_this_function(); }
