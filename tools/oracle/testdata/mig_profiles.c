/*
 * The two questions about MIG profiles that nvcdi asks and the fake libnvidia-ml does not answer: which
 * profile a slice is of. Only the ABI follows nvml.h. Profiles 0 to 3 are those of 1 to 4 slices, 4 is
 * that of 7.
 */
typedef int rc_t;
enum { OK = 0, NOTSUP = 3 };

typedef struct { unsigned id, p2p, slices, count, sm, ce, dec, enc, jpg, ofa; unsigned long long mem_mb; } gi_profile_t;
typedef struct { unsigned id, slices, count, sm, ce, dec, enc, jpg, ofa; } ci_profile_t;

static unsigned slices(unsigned profile) { return profile == 4 ? 7 : profile + 1; }

rc_t nvmlDeviceGetGpuInstanceProfileInfo(void *device, unsigned profile, gi_profile_t *info) {
    (void)device;
    if (profile > 4) return NOTSUP;
    *info = (gi_profile_t){ .id = slices(profile) - 1, .slices = slices(profile), .count = 1, .sm = 14 * slices(profile) };
    return OK;
}

rc_t nvmlGpuInstanceGetComputeInstanceProfileInfo(void *gi, unsigned profile, unsigned engines, ci_profile_t *info) {
    (void)gi;
    if (profile > 4 || engines) return NOTSUP;
    *info = (ci_profile_t){ .id = slices(profile) - 1, .slices = slices(profile), .count = 1, .sm = 14 * slices(profile) };
    return OK;
}
