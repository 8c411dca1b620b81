"""Types of the generated extension: cffi objects have no static types of their own."""

from typing import Any

ffi: Any
lib: Any
