// The only source that differs between module types, so that every type has a build-id of its
// own, as in EVerest.
extern "C" const char everest_module_type[];
const char everest_module_type[] = MODULE_TYPE;
