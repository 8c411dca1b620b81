"""A model image as C source, for firmware that carries its model along."""

# Only C11 and C++11 have a word for it.
ALIGN = """\
#if defined __cplusplus
#define NAME_ALIGN alignas(8)
#elif defined __STDC_VERSION__ && __STDC_VERSION__ >= 201112L
#define NAME_ALIGN _Alignas(8)
#else
#define NAME_ALIGN __attribute__((aligned(8)))
#endif
"""


def c_array(image: bytes, name: str) -> str:
    """A header for C99, C11 and C++ that defines `name`, 8-byte aligned, and its size as NAME_SIZE.

    name : a C identifier. Raises ValueError.
    """
    if not name.isidentifier() or not name.isascii():
        raise ValueError(f"{name!r} is no C identifier")
    rows = [", ".join(f"0x{b:02x}" for b in image[at : at + 16]) for at in range(0, len(image), 16)]
    body = ",\n    ".join(rows)
    return (
        f"// A pyedge model image, {len(image)} bytes.\n"
        "#include <stdint.h>\n\n"
        f"#define {name.upper()}_SIZE {len(image)}u\n\n"
        f"{ALIGN.replace('NAME', name.upper())}\n"
        f"{name.upper()}_ALIGN static const uint8_t {name}[{name.upper()}_SIZE] = {{\n    {body},\n}};\n"
    )
