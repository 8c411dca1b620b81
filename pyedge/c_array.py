"""A model image as C source, for firmware that carries its model along."""


def c_array(image: bytes, name: str) -> str:
    """A header that defines `name`, 8-byte aligned, and its size as NAME_SIZE. name : a C identifier."""
    if not name.isidentifier() or not name.isascii():
        raise ValueError(f"{name!r} is no C identifier")
    rows = [", ".join(f"0x{b:02x}" for b in image[at : at + 16]) for at in range(0, len(image), 16)]
    body = ",\n    ".join(rows)
    return (
        f"// A pyedge model image, {len(image)} bytes.\n"
        "#include <stdint.h>\n\n"
        f"#define {name.upper()}_SIZE {len(image)}u\n\n"
        f"static const _Alignas(8) uint8_t {name}[{name.upper()}_SIZE] = {{\n    {body},\n}};\n"
    )
