package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/registrytest"
)

// stall is where a registry stops to answer.
type stall int

const (
	nowhere stall = iota
	beforeManifest
	beforeLayer
	inLayer // half of it is sent
)

// slowRegistry is a registry of one repository, "app", with two images of one layer each: big, of bytes that
// cannot be compressed, and many, of very many small files.
type slowRegistry struct {
	*httptest.Server
	blobs   registrytest.Blobs
	tags    map[string]registrytest.Descriptor
	stalled atomic.Bool // a request waits

	mu     sync.Mutex
	at     stall
	ranges []string // of the requests for layers
}

// slowImages are the images of all registries.
func slowImages(t *testing.T) *slowRegistry {
	g := &slowRegistry{blobs: registrytest.Blobs{}, tags: map[string]registrytest.Descriptor{}}
	noise := make([]byte, 2<<20)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	var many []registrytest.File
	for i := range 60_000 {
		many = append(many, registrytest.File{Name: fmt.Sprintf("f%d", i), Body: strconv.Itoa(i)})
	}
	for tag, files := range map[string][]registrytest.File{"big": {{Name: "data", Body: string(noise)}}, "many": many} {
		g.tags[tag] = g.blobs.Image(t, registrytest.Image{Layers: []registrytest.Layer{{Files: files}}})
	}
	return g
}

func newSlowRegistry(t *testing.T, made *slowRegistry) *slowRegistry {
	g := &slowRegistry{blobs: made.blobs, tags: made.tags}
	g.Server = httptest.NewServer(g)
	t.Cleanup(func() { g.CloseClientConnections(); g.Close() })
	return g
}

func (g *slowRegistry) host() string { return strings.TrimPrefix(g.URL, "http://") }

func (g *slowRegistry) set(at stall) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = at
}

// taken gives the Range headers of the requests for layers since the last call.
func (g *slowRegistry) taken() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.ranges
	g.ranges = nil
	return out
}

// layer is the one layer of an image.
func (g *slowRegistry) layer(tag string) registrytest.Descriptor {
	var m struct{ Layers []registrytest.Descriptor }
	if err := json.Unmarshal(g.blobs[g.tags[tag].Digest], &m); err != nil {
		panic(err)
	}
	return m.Layers[0]
}

func (g *slowRegistry) half() int64 { return g.layer("big").Size / 2 }

// ServeHTTP answers, or stops at the place that was set until the client goes away.
func (g *slowRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/app/"), "/")
	d, ok := g.tags[name]
	if !ok {
		d = registrytest.Descriptor{Digest: name}
	}
	isLayer := name == g.layer("big").Digest || name == g.layer("many").Digest
	g.mu.Lock()
	at := g.at
	if isLayer {
		g.ranges = append(g.ranges, r.Header.Get("Range"))
	}
	g.mu.Unlock()
	b, ok := g.blobs[d.Digest]
	switch {
	case !ok:
		http.NotFound(w, r)
		return
	case at == beforeManifest && kind == "manifests", at == beforeLayer && isLayer:
	case at == inLayer && isLayer:
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.Write(b[:len(b)/2])
		http.NewResponseController(w).Flush()
	default:
		if kind == "manifests" {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Docker-Content-Digest", d.Digest)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
		return
	}
	g.stalled.Store(true)
	<-r.Context().Done()
}

// fullBacklog is a server that is there and takes no connection: its queue, of one, is full, and the kernel
// answers no further one.
func fullBacklog(p *puller) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		p.t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		p.t.Fatal(err)
	}
	port := sa.(*unix.SockaddrInet4).Port
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	p.port = fmt.Sprintf("%04X", port)
	return addr
}

// lonelyVar holds the file for a process id, for the test binary as the first process of a network in which
// names are asked for and nobody answers.
const lonelyVar = "SANDBOX_TEST_LONELY"

// makeLonely turns a command into one of a network of its own.
func (p *puller) makeLonely(cmd *exec.Cmd) {
	cmd.Args = append([]string{os.Args[0], "-test.run=^TestPullEndsAtSignals$", "--"}, cmd.Args...)
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd.Path = exe
	cmd.Env = append(cmd.Env, lonelyVar+"="+filepath.Join(p.home, "pid"), sharedVar+"="+filepath.Dir(filepath.Dir(p.prog)))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
}

// lonelyPID is the tool in a network of its own, once it has asked for a name; 0 before.
func (p *puller) lonelyPID() int {
	b, _ := os.ReadFile(filepath.Join(p.home, "pid"))
	pid, _ := strconv.Atoi(string(b))
	return pid
}

// lonely is the first process there: it takes the questions, answers none, and ends with the tool's exit code.
func lonely(t *testing.T, pidFile string) {
	args := os.Args[len(os.Args)-4:] // the tool, -q, pull, the reference
	names, err := lonelyNames(filepath.Dir(pidFile))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		if _, _, err := names.ReadFrom(make([]byte, 1024)); err == nil {
			tmp := pidFile + ".new"
			os.WriteFile(tmp, []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
			os.Rename(tmp, pidFile)
		}
	}()
	cmd.Wait()
	os.Exit(cmd.ProcessState.ExitCode())
}

// lonelyNames is the only server for names in this network.
func lonelyNames(dir string) (net.PacketConn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return nil, err
	}
	lo.SetUint16(unix.IFF_UP)
	conf := filepath.Join(dir, "resolv.conf")
	if err := errors.Join(unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo), os.WriteFile(conf, []byte("nameserver 127.0.0.1\n"), 0o644)); err != nil {
		return nil, err
	}
	if err := unix.Mount(conf, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("mount over resolv.conf: %w", err)
	}
	return net.ListenPacket("udp4", "127.0.0.1:53")
}
