# What tools/test and tools/demo share: compilers, the Python environment and the builds. To be sourced.
#
# PYEDGE_VENV is where the Python environment goes (default: .venv in the checkout). PYTHON chooses the interpreter
# that makes it. Everything here does nothing when there is nothing to do.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${PYEDGE_VENV:-$PWD/.venv}
[[ $venv == /* ]] || venv=$PWD/$venv
python=$venv/bin/python
export PATH=$venv/bin:$PATH
# One thread each: figures repeat, and two cores are not fought over.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# stage TITLE COMMAND...: runs the command, keeps its output in build/log, shows it only when the command fails.
stage() {
    local title=$1 log=build/log/${1// /-}.txt start=$SECONDS
    shift
    mkdir -p build/log
    printf '%-34s' "$title" >&2
    if "$@" >"$log" 2>&1 </dev/null; then
        say "$((SECONDS - start)) s"
    else
        say "failed after $((SECONDS - start)) s; the end of $log:"
        tail -n 40 "$log" >&2
        exit 1
    fi
}

has() { command -v "$1" >/dev/null 2>&1; }

# A Python that can make an environment and compile an extension.
find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        has "$candidate" && "$candidate" - >/dev/null 2>&1 <<'CHECK' && echo "$candidate" && return
import ensurepip, os, sys, sysconfig, venv
assert sys.version_info >= (3, 11)
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
CHECK
    done
    return 1
}

# missing GROUP...: the distribution's packages that the groups need and this machine lacks, in Debian's names.
missing() {
    local group
    for group in "$@"; do
        case $group in
            build)
                has gcc && [[ -e $(gcc -print-file-name=libc.so) ]] || echo gcc libc6-dev
                has g++ || echo g++
                has cmake || echo cmake
                has ninja || echo ninja-build
                [[ -x $python ]] || find_python >/dev/null || echo python3 python3-venv python3-dev
                ;;
            board)
                has arm-none-eabi-gcc || echo gcc-arm-none-eabi
                has arm-none-eabi-gcc && [[ $(arm-none-eabi-gcc -print-file-name=nano.specs) == /* ]] ||
                    echo libnewlib-arm-none-eabi
                has qemu-system-arm || echo qemu-system-arm
                ;;
            boards) # the others, and the big-endian machine of the parity tests
                has riscv64-unknown-elf-gcc || echo gcc-riscv64-unknown-elf
                has qemu-system-riscv32 || echo qemu-system-misc
                has powerpc-linux-gnu-gcc || echo gcc-powerpc-linux-gnu libc6-dev-powerpc-cross
                has qemu-ppc || echo qemu-user
                ;;
            check)
                has clang || echo clang
                has clang-format || echo clang-format
                has clang-tidy || echo clang-tidy
                has cppcheck || echo cppcheck
                has valgrind || echo valgrind
                ;;
            fuzz)
                compgen -G "$(clang -print-runtime-dir)/libclang_rt.fuzzer*.a" >/dev/null ||
                    echo "libclang-rt-$(clang -dumpversion | cut -d . -f 1)-dev"
                has llvm-cov && has llvm-profdata || echo llvm
                ;;
        esac
    done
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q && apt-get install -q -y --no-install-recommends "$@"
}

install_command() { echo "sudo apt-get install --no-install-recommends $*"; }

can_install() { [[ $(id -u) == 0 ]] && has apt-get; }

# need GROUP...: has the groups' tools afterwards, or stops and says the one command that brings them.
need() {
    local packages
    packages=$(missing "$@" | xargs)
    [[ -z $packages ]] && return
    can_install || die "these packages are missing; run: $(install_command "$packages")"
    # shellcheck disable=SC2086  # a list of words
    stage "system packages" apt_install $packages
    packages=$(missing "$@" | xargs)
    [[ -z $packages ]] || die "still missing after the installation: $packages"
}

# want GROUP...: like need, but goes on without the tools. Returns 1 then.
want() {
    local packages
    packages=$(missing "$@" | xargs)
    [[ -z $packages ]] && return
    if can_install; then
        need "$@"
    else
        say "note: going on without $packages; to get them: $(install_command "$packages")"
        return 1
    fi
}

digest() { sha256sum | cut -d ' ' -f 1; }

sources() {
    find CMakeLists.txt cmake runtime_c pyedge/_*.txt pyedge/ops/native pyproject.toml -type f \
        ! -name "*.py[co]" ! -name "*.py" -print0 | sort -z | xargs -0 sha256sum
}

pip_install() {
    # The version of the build tools is stated once, in pyproject.toml; they come first because the build is not isolated,
    # and setuptools because cobs comes as source.
    "$python" -m pip install --quiet "setuptools>=70.1" $("$python" -c '
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
    "$python" -m pip install --quiet --no-build-isolation --config-settings=build-dir="$venv/pyedge-build" "$@"
}

# package EXTRAS: the package, editable, with those extras, in the environment; compiled again only if its C changed.
package() {
    [[ -x $python ]] || stage "python environment" "$(find_python)" -m venv "$venv"
    local extras=$1 stamp=$venv/pyedge-stamp wanted built
    wanted=$({ echo "$PWD $extras"; cat pyproject.toml; } | digest)
    built=$({ pwd; sources; } | digest)
    touch "$stamp"
    if ! grep -q "$wanted" "$stamp"; then
        stage "python package and its needs" pip_install -e ".[$extras]"
    elif ! grep -q "$built" "$stamp"; then
        stage "python extension" pip_install --no-deps -e .
    else
        return 0
    fi
    # Earlier extras stay installed, so their lines stay as well; there is one line for the sources.
    { grep '^extras' "$stamp" || true; echo "extras $wanted"; echo "built $built"; } >"$stamp.new"
    mv "$stamp.new" "$stamp"
}

# preset NAME: configures, builds and, for the host, tests one CMake preset.
preset() { stage "C: $1" cmake --workflow --preset "$1"; }

# One set-up at a time in a checkout; released when the tests or the demo start.
mkdir -p build
exec 9>build/lock
if has flock; then flock 9; fi
