/*
 * A libnvidia-ml.so.1 for machines without a GPU. It answers what a text file says: FAKE_NVML_CONF, else
 * fake_nvml.conf beside the library. Lines, in any order, indexes as NVML counts:
 *
 *   driver 580.95.05
 *   cuda 13000
 *   init 18                 nvmlInit answers this
 *   hang init|count|memory  sleep there for ever
 *   gpu UUID BUSID MINOR CCMAJOR.CCMINOR TOTAL FREE COMPUTEMODE PERSISTENCE ECC MIGMODE LINKS NAME...
 *                           ECC -1 and MINOR -1: not supported; LINKS: a hexadecimal mask of indexes
 *   mig GPU GI CI SLICES TOTAL FREE UUID PROFILE
 *   proc GPU MIG PID BYTES  MIG -1: the whole GPU
 *   rc GPU CODE             every question about this GPU answers this
 *   memory GPU CODE         questions about its memory as a whole answer this
 *
 * FAKE_NVML_INIT_RC and FAKE_NVML_HANG override the file. Only the ABI (names, layouts, numbers) follows nvml.h.
 *
 * What an old driver lacks is left out by -DDRIVER=470 (510 and later have everything here); -DNO_MIG, -DNO_P2P,
 * -DNO_PROCESSES, -DNO_MODES, -DNO_MEMORY, -DNO_COUNT and -DNO_INIT leave out more than any driver did;
 * -DNO_SLICE_NAMES: slices have the names of their GPUs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef DRIVER
#define DRIVER 999
#endif

typedef int rc_t;
typedef unsigned long long u64;
enum { OK = 0, UNINIT = 1, BADARG = 2, NOTSUP = 3, NOTFOUND = 6, SMALL = 7 };
enum { MAXGPU = 16, MAXMIG = 8, MAXPROC = 64 };

typedef struct dev {
    int gpu, mig; /* mig < 0: a whole GPU */
    char uuid[96], bus[32], name[96], profile[32];
    int minor, major_cc, minor_cc, mode, persist, ecc, migmode, rc, memrc, gi, ci, slices, nmig;
    unsigned links;
    u64 total, free;
} dev_t_;
typedef struct { char id_legacy[16]; unsigned domain, bus, device, pci_id, sub_id; char id[32]; } pci_t;
typedef struct { u64 total, free, used; } mem_t;
typedef struct { unsigned version; u64 total, reserved, free, used; } mem2_t;
typedef struct { unsigned sm, ce, dec, enc, jpeg, ofa, gi, ci; u64 mem_mb; } attr_t;
typedef struct { unsigned pid; u64 used; } proc1_t;
typedef struct { unsigned pid; u64 used; unsigned gi, ci; } proc_t;
typedef struct { unsigned start, size; } place_t;
typedef struct { dev_t_ *device; unsigned id, profile; place_t place; } giinfo_t;
typedef struct { dev_t_ *device; dev_t_ *gi; unsigned id, profile; place_t place; } ciinfo_t;

static dev_t_ gpus[MAXGPU], migs[MAXGPU][MAXMIG];
static struct { int gpu, mig; unsigned pid; u64 used; } procs[MAXPROC];
static int ngpu, nproc, init_rc, refs, cuda = 13000;
static char driver[80] = "580.95.05", hang[16];

static void stop(const char *where) {
    if (!strcmp(hang, where))
        for (;;) pause();
}

static void line(const char *l) {
    dev_t_ d = { 0 };
    int g, m, c;
    if (sscanf(l, "driver %79s", driver) == 1 || sscanf(l, "cuda %d", &cuda) == 1 || sscanf(l, "init %d", &init_rc) == 1 ||
        sscanf(l, "hang %15s", hang) == 1)
        return;
    if (sscanf(l, "gpu %95s %31s %d %d.%d %llu %llu %d %d %d %d %x %95[^\n]", d.uuid, d.bus, &d.minor, &d.major_cc, &d.minor_cc, &d.total,
               &d.free, &d.mode, &d.persist, &d.ecc, &d.migmode, &d.links, d.name) == 13 && ngpu < MAXGPU) {
        d.gpu = ngpu; d.mig = -1;
        gpus[ngpu++] = d;
    } else if (sscanf(l, "mig %d %d %d %d %llu %llu %95s %31s", &g, &d.gi, &d.ci, &d.slices, &d.total, &d.free, d.uuid, d.profile) == 8 &&
               g >= 0 && g < ngpu && gpus[g].nmig < MAXMIG) {
        d.gpu = g; d.mig = gpus[g].nmig;
        snprintf(d.name, sizeof d.name, "%.50s MIG %.31s", gpus[g].name, d.profile);
        migs[g][gpus[g].nmig++] = d;
    } else if (sscanf(l, "rc %d %d", &g, &c) == 2 && g >= 0 && g < ngpu) {
        gpus[g].rc = c;
    } else if (sscanf(l, "memory %d %d", &g, &c) == 2 && g >= 0 && g < ngpu) {
        gpus[g].memrc = c;
    } else if (nproc < MAXPROC && sscanf(l, "proc %d %d %u %llu", &g, &m, &procs[nproc].pid, &procs[nproc].used) == 4) {
        procs[nproc].gpu = g; procs[nproc++].mig = m;
    }
}

static void load(void) {
    char path[4096], l[512];
    const char *e = getenv("FAKE_NVML_CONF");
    Dl_info self;
    if (e && *e) {
        snprintf(path, sizeof path, "%s", e);
    } else if (dladdr((void *)load, &self) && self.dli_fname) {
        const char *slash = strrchr(self.dli_fname, '/');
        snprintf(path, sizeof path, "%.*s/fake_nvml.conf", slash ? (int)(slash - self.dli_fname) : 1, slash ? self.dli_fname : ".");
    }
    ngpu = nproc = 0;
    FILE *f = fopen(path, "re");
    while (f && fgets(l, sizeof l, f)) line(l);
    if (f) fclose(f);
    if ((e = getenv("FAKE_NVML_INIT_RC")) && *e) init_rc = atoi(e);
    if ((e = getenv("FAKE_NVML_HANG")) && *e) snprintf(hang, sizeof hang, "%s", e);
}

static rc_t put(char *out, unsigned len, const char *s) {
    if (!out) return BADARG;
    if (strlen(s) + 1 > len) return SMALL;
    strcpy(out, s);
    return OK;
}
#define NEED(d) do { if (!refs) return UNINIT; if (!(d)) return BADARG; } while (0)
#define ALIVE(d) do { NEED(d); if (gpus[(d)->gpu].rc) return gpus[(d)->gpu].rc; } while (0)

/* ---- library and system ---- */
#ifndef NO_INIT
rc_t nvmlInit_v2(void) {
    load();
    stop("init");
    if (init_rc) return init_rc;
    refs++;
    return OK;
}
rc_t nvmlInit(void) { return nvmlInit_v2(); }
rc_t nvmlInitWithFlags(unsigned f) { (void)f; return nvmlInit_v2(); }
#endif
rc_t nvmlShutdown(void) { if (!refs) return UNINIT; refs--; return OK; }
const char *nvmlErrorString(rc_t rc) {
    switch (rc) {
    case 0: return "Success";            case 1: return "Uninitialized";
    case 2: return "Invalid Argument";   case 3: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 6: return "Not Found";          case 7: return "Insufficient Size";
    case 9: return "Driver Not Loaded";  case 12: return "NVML Shared Library Not Found";
    case 15: return "GPU is lost";       case 17: return "The operating system has blocked the request";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}
rc_t nvmlSystemGetDriverVersion(char *v, unsigned n) { NEED(v); return put(v, n, driver); }
rc_t nvmlSystemGetNVMLVersion(char *v, unsigned n) {
    char b[100];
    snprintf(b, sizeof b, "%d.%s", cuda / 1000, driver);
    NEED(v); return put(v, n, b);
}
rc_t nvmlSystemGetCudaDriverVersion_v2(int *v) { NEED(v); *v = cuda; return OK; }
rc_t nvmlSystemGetCudaDriverVersion(int *v) { return nvmlSystemGetCudaDriverVersion_v2(v); }

/* ---- finding devices ---- */
#ifndef NO_COUNT
rc_t nvmlDeviceGetCount_v2(unsigned *n) { NEED(n); stop("count"); *n = (unsigned)ngpu; return OK; }
rc_t nvmlDeviceGetCount(unsigned *n) { return nvmlDeviceGetCount_v2(n); }
#endif
rc_t nvmlDeviceGetHandleByIndex_v2(unsigned i, dev_t_ **d) {
    NEED(d);
    if ((int)i >= ngpu) return BADARG;
    *d = &gpus[i];
    return gpus[i].rc;
}
rc_t nvmlDeviceGetHandleByIndex(unsigned i, dev_t_ **d) { return nvmlDeviceGetHandleByIndex_v2(i, d); }
rc_t nvmlDeviceGetHandleByUUID(const char *u, dev_t_ **d) {
    NEED(u && d);
    for (int i = 0; i < ngpu; i++) {
        if (!strcmp(gpus[i].uuid, u)) { *d = &gpus[i]; return gpus[i].rc; }
        for (int j = 0; j < gpus[i].nmig; j++)
            if (!strcmp(migs[i][j].uuid, u)) { *d = &migs[i][j]; return gpus[i].rc; }
    }
    return NOTFOUND;
}
rc_t nvmlDeviceGetHandleByPciBusId_v2(const char *b, dev_t_ **d) {
    NEED(b && d);
    for (int i = 0; i < ngpu; i++)
        if (!strcasecmp(gpus[i].bus, b) || !strcasecmp(gpus[i].bus + 4, b)) { *d = &gpus[i]; return gpus[i].rc; }
    return NOTFOUND;
}

/* ---- one device ---- */
rc_t nvmlDeviceGetUUID(dev_t_ *d, char *u, unsigned n) { ALIVE(d); return put(u, n, d->uuid); }
rc_t nvmlDeviceGetIndex(dev_t_ *d, unsigned *i) { ALIVE(d); *i = (unsigned)(d->mig < 0 ? d->gpu : d->mig); return OK; }
rc_t nvmlDeviceGetMinorNumber(dev_t_ *d, unsigned *m) { ALIVE(d); if (d->minor < 0) return NOTSUP; *m = (unsigned)d->minor; return OK; }
#ifdef NO_SLICE_NAMES
rc_t nvmlDeviceGetName(dev_t_ *d, char *s, unsigned n) { ALIVE(d); return put(s, n, gpus[d->gpu].name); }
#else
rc_t nvmlDeviceGetName(dev_t_ *d, char *s, unsigned n) { ALIVE(d); return put(s, n, d->name); }
#endif
rc_t nvmlDeviceGetBrand(dev_t_ *d, unsigned *b) { ALIVE(d); *b = 14; return OK; }
rc_t nvmlDeviceGetArchitecture(dev_t_ *d, unsigned *a) { ALIVE(d); *a = d->major_cc >= 9 ? 9 : d->major_cc == 8 ? 7 : 6; return OK; }
rc_t nvmlDeviceGetCudaComputeCapability(dev_t_ *d, int *maj, int *min) {
    ALIVE(d);
    *maj = gpus[d->gpu].major_cc; *min = gpus[d->gpu].minor_cc;
    return OK;
}
rc_t nvmlDeviceGetPciInfo_v3(dev_t_ *d, pci_t *p) {
    ALIVE(d);
    memset(p, 0, sizeof *p);
    if (sscanf(d->bus, "%x:%x:%x", &p->domain, &p->bus, &p->device) != 3) return NOTSUP;
    p->pci_id = 0x233010DE;
    snprintf(p->id_legacy, sizeof p->id_legacy, "%04X:%02X:%02X.0", p->domain & 0xffff, p->bus & 0xff, p->device & 0xff);
    snprintf(p->id, sizeof p->id, "%.31s", d->bus);
    return OK;
}
#ifndef NO_MEMORY
rc_t nvmlDeviceGetMemoryInfo(dev_t_ *d, mem_t *m) {
    stop("memory");
    ALIVE(d);
    if (d->memrc) return d->memrc;
    m->total = d->total; m->free = d->free; m->used = d->total - d->free;
    return OK;
}
#if DRIVER >= 510
rc_t nvmlDeviceGetMemoryInfo_v2(dev_t_ *d, mem2_t *m) {
    ALIVE(d);
    m->total = d->total; m->free = d->free; m->used = d->total - d->free; m->reserved = 0;
    return OK;
}
#endif
#endif
#ifndef NO_MODES
rc_t nvmlDeviceGetComputeMode(dev_t_ *d, unsigned *m) { ALIVE(d); *m = (unsigned)gpus[d->gpu].mode; return OK; }
rc_t nvmlDeviceGetPersistenceMode(dev_t_ *d, unsigned *m) { ALIVE(d); *m = (unsigned)gpus[d->gpu].persist; return OK; }
rc_t nvmlDeviceGetEccMode(dev_t_ *d, unsigned *cur, unsigned *pend) {
    ALIVE(d);
    if (d->ecc < 0) return NOTSUP;
    *cur = *pend = (unsigned)d->ecc;
    return OK;
}
#endif
#ifndef NO_P2P
rc_t nvmlDeviceGetP2PStatus(dev_t_ *a, dev_t_ *b, unsigned what, unsigned *status) {
    ALIVE(a); ALIVE(b);
    *status = what == 2 && a->links >> b->gpu & 1 ? 0 : 5; /* 2: NVLink; 5: not supported */
    return OK;
}
#endif
rc_t nvmlDeviceGetNvLinkState(dev_t_ *d, unsigned link, unsigned *on) { ALIVE(d); if (link >= 18) return BADARG; *on = d->links != 0; return OK; }
rc_t nvmlDeviceGetNvLinkRemotePciInfo_v2(dev_t_ *d, unsigned link, pci_t *p) {
    ALIVE(d);
    for (int i = 0; i < ngpu; i++)
        if (d->links >> i & 1 && link-- == 0) return nvmlDeviceGetPciInfo_v3(&gpus[i], p);
    return NOTSUP;
}

/* ---- processes: a count that is too small is answered with the right one ---- */
#ifndef NO_PROCESSES
static rc_t processes(dev_t_ *d, unsigned *n, void *out, int old) {
    unsigned have = 0;
    ALIVE(d && n ? d : NULL);
    for (int i = 0; i < nproc; i++)
        if (procs[i].gpu == d->gpu && (d->mig < 0 || procs[i].mig == d->mig)) {
            if (out && have < *n && old) ((proc1_t *)out)[have] = (proc1_t){ procs[i].pid, procs[i].used };
            if (out && have < *n && !old) ((proc_t *)out)[have] = (proc_t){ procs[i].pid, procs[i].used, ~0u, ~0u };
            have++;
        }
    rc_t rc = have > *n ? SMALL : OK;
    *n = have;
    return rc;
}
rc_t nvmlDeviceGetComputeRunningProcesses(dev_t_ *d, unsigned *n, void *p) { return processes(d, n, p, 1); }
rc_t nvmlDeviceGetComputeRunningProcesses_v2(dev_t_ *d, unsigned *n, void *p) { return processes(d, n, p, 0); }
#if DRIVER >= 510
rc_t nvmlDeviceGetComputeRunningProcesses_v3(dev_t_ *d, unsigned *n, void *p) { return processes(d, n, p, 0); }
#endif
#endif

/* ---- MIG: a slice's handle stands for its GPU instance and its compute instance too ---- */
#ifndef NO_MIG
rc_t nvmlDeviceGetMigMode(dev_t_ *d, unsigned *cur, unsigned *pend) {
    ALIVE(d);
    if (d->mig >= 0 || d->migmode < 0) return NOTSUP;
    *cur = *pend = (unsigned)d->migmode;
    return OK;
}
rc_t nvmlDeviceIsMigDeviceHandle(dev_t_ *d, unsigned *yes) { ALIVE(d); *yes = d->mig >= 0; return OK; }
rc_t nvmlDeviceGetMaxMigDeviceCount(dev_t_ *d, unsigned *n) { ALIVE(d); *n = d->migmode < 0 ? 0 : 7; return OK; }
rc_t nvmlDeviceGetMigDeviceHandleByIndex(dev_t_ *d, unsigned i, dev_t_ **m) {
    ALIVE(d);
    if ((int)i >= d->nmig) return NOTFOUND;
    *m = &migs[d->gpu][i];
    return OK;
}
rc_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(dev_t_ *m, dev_t_ **d) { ALIVE(m); if (m->mig < 0) return BADARG; *d = &gpus[m->gpu]; return OK; }
rc_t nvmlDeviceGetGpuInstanceId(dev_t_ *m, unsigned *id) { ALIVE(m); if (m->mig < 0) return BADARG; *id = (unsigned)m->gi; return OK; }
rc_t nvmlDeviceGetComputeInstanceId(dev_t_ *m, unsigned *id) { ALIVE(m); if (m->mig < 0) return BADARG; *id = (unsigned)m->ci; return OK; }
rc_t nvmlDeviceGetAttributes_v2(dev_t_ *m, attr_t *a) {
    ALIVE(m);
    if (m->mig < 0) return NOTSUP;
    *a = (attr_t){ .sm = 14u * (unsigned)m->slices, .ce = 1, .gi = (unsigned)m->slices, .ci = (unsigned)m->slices, .mem_mb = m->total >> 20 };
    return OK;
}
rc_t nvmlDeviceGetGpuInstanceById(dev_t_ *d, unsigned id, dev_t_ **gi) {
    ALIVE(d);
    for (int i = 0; i < d->nmig; i++)
        if (migs[d->gpu][i].gi == (int)id) { *gi = &migs[d->gpu][i]; return OK; }
    return NOTFOUND;
}
rc_t nvmlGpuInstanceGetInfo(dev_t_ *gi, giinfo_t *info) {
    ALIVE(gi);
    *info = (giinfo_t){ &gpus[gi->gpu], (unsigned)gi->gi, (unsigned)gi->slices - 1, { (unsigned)gi->mig, (unsigned)gi->slices } };
    return OK;
}
rc_t nvmlGpuInstanceGetComputeInstanceById(dev_t_ *gi, unsigned id, dev_t_ **ci) {
    ALIVE(gi);
    for (int i = 0; i < gpus[gi->gpu].nmig; i++)
        if (migs[gi->gpu][i].gi == gi->gi && migs[gi->gpu][i].ci == (int)id) { *ci = &migs[gi->gpu][i]; return OK; }
    return NOTFOUND;
}
rc_t nvmlComputeInstanceGetInfo_v2(dev_t_ *ci, ciinfo_t *info) {
    ALIVE(ci);
    *info = (ciinfo_t){ &gpus[ci->gpu], ci, (unsigned)ci->ci, (unsigned)ci->slices - 1, { 0, (unsigned)ci->slices } };
    return OK;
}
#endif
