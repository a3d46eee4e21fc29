package enginetest

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// Docker runs dockerd. Containers have --network none or host.
func Docker(t testing.TB) (env []string) {
	t.Helper()
	dir := shortDir(t)
	// An empty configuration of our own, so that a daemon.json of the machine is not read.
	write(t, filepath.Join(dir, "daemon.json"), "{}")
	write(t, filepath.Join(dir, "config.json"), "{}") // Podman looks there, too, and wants it to be there
	env = []string{"DOCKER_HOST=unix://" + dir + "/docker.sock", "DOCKER_CONFIG=" + dir}
	daemon(t, dir, env, []string{"docker", "version"},
		"dockerd", "--config-file", dir+"/daemon.json", "--host", "unix://"+dir+"/docker.sock", "--data-root", dir+"/data", "--exec-root", dir+"/exec",
		"--pidfile", dir+"/pid", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none",
		"--storage-driver=overlay2", "--exec-opt", "native.cgroupdriver=cgroupfs")
	return env
}

const containerdConfig = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]
[grpc]
  address = "%[1]s/containerd.sock"
[ttrpc]
  address = "%[1]s/containerd.sock.ttrpc"
`

// Containerd runs containerd, for ctr.
func Containerd(t testing.TB) (env []string) {
	t.Helper()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "config.toml"), fmt.Sprintf(containerdConfig, dir))
	env = []string{"CONTAINERD_ADDRESS=" + dir + "/containerd.sock"}
	daemon(t, dir, env, []string{"ctr", "version"}, "containerd", "--config", dir+"/config.toml")
	return env
}

// crun of some releases refuses a machine that has cgroups of both versions, so it is runc; limits above the
// caller's own cannot be had without a capability that root need not have; overlay is named, because else an
// ordinary user gets copies of everything.
const (
	podmanContainers = `[containers]
default_ulimits = ["nofile=%[1]d:%[1]d", "nproc=%[2]d:%[2]d"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
`
	podmanStorage = `[storage]
driver = "overlay"
runroot = "%[1]s/run/c"
graphroot = "%[1]s/storage"
`
	podmanPolicy = `{"default": [{"type": "insecureAcceptAnything"}]}`
)

// Podman prepares Podman, which has no daemon. Containers have --network none or host.
func Podman(t testing.TB) (env []string) {
	t.Helper()
	dir := shortDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "config", "containers"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "containers.conf"), fmt.Sprintf(podmanContainers, hard(t, unix.RLIMIT_NOFILE, 1<<16), hard(t, unix.RLIMIT_NPROC, 20000)))
	write(t, filepath.Join(dir, "storage.conf"), fmt.Sprintf(podmanStorage, dir))
	write(t, filepath.Join(dir, "config", "containers", "policy.json"), podmanPolicy)
	env = []string{"CONTAINERS_CONF=" + dir + "/containers.conf", "CONTAINERS_STORAGE_CONF=" + dir + "/storage.conf",
		"XDG_RUNTIME_DIR=" + dir + "/run", "XDG_DATA_HOME=" + dir + "/data", "XDG_CONFIG_HOME=" + dir + "/config"}
	t.Cleanup(func() {
		// What belongs to ids of the range can be removed only from inside of the namespace, which a pause process holds.
		if os.Geteuid() != 0 {
			const empty = `sed -n "s,^[^ ]* \($1/[^ ]*\) .*,\1,p" /proc/mounts | xargs -r umount -l; rm -rf "$1/storage" "$1/data"`
			cmd := exec.Command("podman", "unshare", "sh", "-c", empty, "sh", dir)
			cmd.Env = append(os.Environ(), env...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("podman unshare rm: %v\n%s", err, out)
			}
		}
		endPause(filepath.Join(dir, "run", "libpod", "tmp", "pause.pid"))
	})
	return env
}

// endPause ends the process that rootless Podman leaves behind.
func endPause(file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		return
	}
	var pid int
	if _, err := fmt.Sscan(string(b), &pid); err != nil || pid <= 1 {
		return
	}
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		defer unix.Close(fd)
		if st, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil && ownedByUs(st) {
			unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
	}
}

// shortDir is a folder whose path leaves room for the names of sockets in it (108 bytes in all), emptied of mounts
// before it is removed.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "eng")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b, _ := os.ReadFile("/proc/self/mounts")
		lines := strings.Split(string(b), "\n")
		for i := len(lines) - 1; i >= 0; i-- {
			if f := strings.Fields(lines[i]); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
				unix.Unmount(f[1], unix.MNT_DETACH)
			}
		}
		if err := testenv.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// daemon starts a program and waits until its client gets an answer.
func daemon(t testing.TB, dir string, env, client []string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		cmd.Process.Signal(unix.SIGTERM) // so that it ends what it has started
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			cmd.Process.Kill()
			<-done
			t.Errorf("%s did not end by itself", args[0])
		}
	})
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		ask := exec.Command(client[0], client[1:]...)
		ask.Env = append(os.Environ(), env...)
		if ask.Run() == nil {
			return
		}
		select {
		case <-done:
			b, _ := os.ReadFile(log.Name())
			t.Fatalf("%s ended:\n%s", args[0], b)
		default:
		}
	}
	b, _ := os.ReadFile(log.Name())
	t.Fatalf("%s does not answer:\n%s", args[0], b)
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hard is our own hard limit, or at most max.
func hard(t testing.TB, which int, max uint64) uint64 {
	t.Helper()
	var l unix.Rlimit
	if err := unix.Getrlimit(which, &l); err != nil {
		t.Fatal(err)
	}
	return min(l.Max, max)
}

// ownedByUs tells whose a process is, by its folder in /proc.
func ownedByUs(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
