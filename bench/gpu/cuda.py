"""A CUDA program without a toolkit: adds two vectors on the GPU through the driver's own interface.

Prints the libcuda that the loader took, the name and UUID of device 0, and the number of devices; fails
if a sum is wrong. The kernel is PTX, which the driver compiles here: that proves its compiler, too.
"""
import ctypes
import sys
import uuid

PTX = b"""
.version 6.0
.target sm_50
.address_size 64
.visible .entry add(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)
{
    .reg .pred %p; .reg .b32 %r<6>; .reg .f32 %f<4>; .reg .b64 %d<9>;
    ld.param.u64 %d1, [a]; ld.param.u64 %d2, [b]; ld.param.u64 %d3, [c]; ld.param.u32 %r1, [n];
    mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p, %r5, %r1;
    @%p bra DONE;
    mul.wide.u32 %d4, %r5, 4;
    cvta.to.global.u64 %d1, %d1; cvta.to.global.u64 %d2, %d2; cvta.to.global.u64 %d3, %d3;
    add.s64 %d5, %d1, %d4; add.s64 %d6, %d2, %d4; add.s64 %d7, %d3, %d4;
    ld.global.f32 %f1, [%d5]; ld.global.f32 %f2, [%d6];
    add.f32 %f3, %f1, %f2;
    st.global.f32 [%d7], %f3;
DONE:
    ret;
}
"""

cu = ctypes.CDLL("libcuda.so.1")


def call(name, *args):
    code = getattr(cu, name)(*args)
    if code:
        text = ctypes.c_char_p()
        cu.cuGetErrorString(code, ctypes.byref(text))
        sys.exit(f"{name}: error {code}: {(text.value or b'?').decode()}")


def main():
    call("cuInit", 0)
    with open("/proc/self/maps") as f:
        paths = {line.split()[-1] for line in f if "libcuda.so" in line}
    count = ctypes.c_int()
    call("cuDeviceGetCount", ctypes.byref(count))
    if count.value == 0:
        sys.exit("no CUDA device")
    device, context = ctypes.c_int(), ctypes.c_void_p()
    call("cuDeviceGet", ctypes.byref(device), 0)
    name, raw = ctypes.create_string_buffer(100), (ctypes.c_ubyte * 16)()
    call("cuDeviceGetName", name, 100, device)
    call("cuDeviceGetUuid", raw, device)
    call("cuCtxCreate_v2", ctypes.byref(context), 0, device)

    n = 1 << 20
    host = [(ctypes.c_float * n)(*([float(k)] * n)) for k in (1, 2, 0)]
    gpu = [ctypes.c_uint64() for _ in host]
    size = ctypes.c_size_t(4 * n)
    for g, h in zip(gpu, host):
        call("cuMemAlloc_v2", ctypes.byref(g), size)
        call("cuMemcpyHtoD_v2", g, h, size)
    module, kernel = ctypes.c_void_p(), ctypes.c_void_p()
    call("cuModuleLoadData", ctypes.byref(module), PTX)
    call("cuModuleGetFunction", ctypes.byref(kernel), module, b"add")
    count32 = ctypes.c_uint32(n)
    args = (ctypes.c_void_p * 4)(*[ctypes.addressof(a) for a in (*gpu, count32)])
    call("cuLaunchKernel", kernel, (n + 255) // 256, 1, 1, 256, 1, 1, 0, None, args, None)
    call("cuCtxSynchronize")
    call("cuMemcpyDtoH_v2", host[2], gpu[2], size)
    if any(v != 3.0 for v in host[2]):
        sys.exit("wrong sum")
    # Managed memory goes through /dev/nvidia-uvm, which is missing on many machines after a boot.
    managed = ctypes.c_uint64()
    call("cuMemAllocManaged", ctypes.byref(managed), size, 1)
    print(f"libcuda {' '.join(sorted(paths))}")
    print(f"device GPU-{uuid.UUID(bytes=bytes(raw))} {name.value.decode()} of {count.value}")


main()
