package inject

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/access"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// Numbers of NVIDIA's devices that never change.
const (
	majorNVIDIA  = 195
	majorDRM     = 226
	minorControl = 255
	minorModeset = 254
)

const (
	modprobeHelp = "on the host, once: sudo nvidia-modprobe -u -c=0 (as any user where it is setuid); to have it after each start of the machine: echo nvidia-uvm | sudo tee /etc/modules-load.d/nvidia-uvm.conf"
	nodeHelp     = "on the host: sudo nvidia-modprobe -c=0; in a container, start it with the GPU's devices"
	cgroupHelp   = "the device cgroup of the container, job or service around this process does not allow it: start that one with the GPU (docker run --gpus, sbatch --gres=gpu); after systemctl daemon-reload, start it anew"
	groupHelp    = "ask the administrator for the group that owns it, then log in again; see: ls -l /dev/nvidia*"
)

// nodes are the devices of the picks, and those that all of them share.
func (p *planner) nodes() error {
	if p.Set.WSL {
		return p.node("dxg", -1, 0, "", "the GPU of Windows")
	}
	for _, d := range p.devices() {
		if d.Error != "" {
			return hint.With(fmt.Errorf("the GPU %s (%s) cannot be used: %s", d.ID(), d.BDF, d.Error), "choose another one; see: sandbox gpu list")
		}
	}
	if err := p.node("nvidiactl", majorNVIDIA, minorControl, nodeHelp, "every use of the driver begins here"); err != nil {
		return err
	}
	for _, d := range p.devices() {
		if d.Minor < 0 {
			return &NodeError{Path: path.Join(p.Roots.Dev, "nvidia?"), Problem: "the minor number of " + d.ID() + " is not known", Help: "see: sandbox gpu list"}
		}
		// N is the minor number; NVML's index counts differently.
		help := fmt.Sprintf("on the host: sudo nvidia-modprobe -c=%d", d.Minor)
		if err := p.node("nvidia"+strconv.Itoa(d.Minor), majorNVIDIA, d.Minor, help, "the GPU "+d.ID()+" ("+d.Name+")"); err != nil {
			return err
		}
	}
	if p.wants(gpu.Compute) {
		if err := p.compute(); err != nil {
			return err
		}
	}
	if err := p.slices(); err != nil {
		return err
	}
	if p.wants(gpu.Graphics, gpu.Display) {
		p.optional("nvidia-modeset", majorNVIDIA, minorModeset, "graphics asks it for displays and modes")
		p.drm()
	}
	return nil
}

// compute is unified memory, without which cuInit fails with error 999, and the channels of a multi-node
// NVLink domain.
func (p *planner) compute() error {
	uvm := p.major("nvidia-uvm")
	if uvm == notLoaded && p.strict() {
		return &NodeError{Path: path.Join(p.Roots.Dev, "nvidia-uvm"), Problem: "the kernel module nvidia-uvm is not loaded, and CUDA needs it", Missing: true, Help: modprobeHelp}
	}
	if err := p.node("nvidia-uvm", uvm, 0, modprobeHelp, "CUDA's unified memory"); err != nil {
		return err
	}
	p.optional("nvidia-uvm-tools", uvm, 1, "profilers watch unified memory")
	const imex = "nvidia-caps-imex-channels"
	for _, n := range sorted(path.Join(p.Roots.Dev, imex)) {
		if c, err := strconv.Atoi(strings.TrimPrefix(n, "channel")); err == nil && strings.HasPrefix(n, "channel") {
			p.optional(imex+"/"+n, p.major(imex), c, "NVLink between machines")
		}
	}
	return nil
}

// slices are the capability nodes of MIG: one for the GPU instance, one for the compute instance.
func (p *planner) slices() error {
	var minors map[string]int
	for _, k := range p.Picks {
		if k.MIG == nil {
			continue
		}
		if minors == nil {
			var err error
			if minors, err = migMinors(path.Join(p.Roots.Proc, "driver/nvidia-caps/mig-minors")); err != nil {
				return err
			}
		}
		for _, name := range accessNames(k) {
			m, ok := minors[name]
			node := "nvidia-caps/nvidia-cap" + strconv.Itoa(m)
			if !ok {
				return &NodeError{Path: path.Join(p.Roots.Proc, "driver/nvidia-caps/mig-minors"), Problem: "it has no line for " + name, Help: "the MIG slice is gone; see: sandbox gpu list"}
			}
			help := fmt.Sprintf("on the host: sudo nvidia-modprobe -f /proc/driver/nvidia/capabilities/%s", procName(name))
			if err := p.node(node, p.major("nvidia-caps"), m, help, "the right to use "+k.MIG.UUID+" ("+k.MIG.Profile+")"); err != nil {
				return err
			}
		}
	}
	return nil
}

// accessNames are a slice's lines in mig-minors. gpuN counts by minor number.
func accessNames(k gpu.Pick) []string {
	gi := fmt.Sprintf("gpu%d/gi%d", k.Device.Minor, k.MIG.GI)
	return []string{gi + "/access", fmt.Sprintf("%s/ci%d/access", gi, k.MIG.CI)}
}

// procName is the same below /proc/driver/nvidia/capabilities: gpu0/mig/gi7/access.
func procName(name string) string { return strings.Replace(name, "/gi", "/mig/gi", 1) }

// migMinors reads lines like "gpu0/gi7/ci0/access 67".
func migMinors(name string) (map[string]int, error) {
	b, err := readProc(name, 4<<20)
	if err != nil {
		return nil, &NodeError{Path: name, Problem: "it cannot be read, and MIG needs it", Help: "load the driver with MIG support: sudo modprobe nvidia"}
	}
	return parseMIGMinors(b), nil
}

func parseMIGMinors(b []byte) map[string]int {
	out := map[string]int{}
	for line := range strings.SplitSeq(string(b), "\n") {
		name, number, ok := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(number, 10, 20); ok && err == nil {
			out[name] = int(n)
		}
	}
	return out
}

// drm are the nodes of the picked GPUs for graphics; which they are, sysfs tells by PCI address.
func (p *planner) drm() {
	for _, d := range p.devices() {
		found := false
		for _, n := range sorted(path.Join(p.Roots.Sys, "bus/pci/devices", path.Base(d.BDF), "drm")) {
			card, isCard := strings.CutPrefix(n, "card")
			render, isRender := strings.CutPrefix(n, "renderD")
			minor, err := strconv.Atoi(card)
			kind := "card"
			if isRender {
				minor, err = strconv.Atoi(render)
				kind = "render"
			}
			if err != nil || !isCard && !isRender {
				continue
			}
			if p.optional("dri/"+n, majorDRM, minor, "graphics on "+d.ID()) {
				found = true
				p.out.link("/dev/dri/by-path/pci-"+d.BDF+"-"+kind, "../"+n, "programs look for the GPU by its address")
			}
		}
		if !found {
			p.out.note(fmt.Sprintf("the GPU %s has no node in /dev/dri (the module nvidia-drm is not loaded, or may not be opened): EGL without X may not find it", d.ID()))
		}
	}
}

// node adds /dev/<name>, or says what is wrong with it.
func (p *planner) node(name string, major, minor int, help, why string) error {
	source := path.Join(p.Roots.Dev, name)
	fi, err := os.Stat(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &NodeError{Path: source, Problem: "it does not exist", Missing: true, Help: help}
	case err != nil:
		return &NodeError{Path: source, Problem: err.Error(), Help: help}
	}
	if p.strict() {
		if fi.Mode()&fs.ModeCharDevice == 0 {
			return &NodeError{Path: source, Problem: "it is no character device", Help: "remove it; the driver makes it again"}
		}
		a, b, ok := numbersOf(fi)
		if ok && (major > notKnown && a != major || major >= notKnown && b != minor) {
			return &NodeError{Path: source, Problem: fmt.Sprintf("its number is %d:%d and should be %d:%d", a, b, major, minor), Help: "it is left over from another start of the machine: remove it; the driver makes it again"}
		}
		if err := access.ReadWrite(source); err != nil {
			return deniedNode(source, fi, err)
		}
	}
	p.out.Nodes = append(p.out.Nodes, Node{source, "/dev/" + name, why})
	return nil
}

// deniedNode says who does not let us: the mode, or with EPERM what is around this process.
func deniedNode(source string, fi fs.FileInfo, err error) error {
	mode := fi.Mode().Perm()
	if errors.Is(err, syscall.EPERM) {
		return &NodeError{Path: source, Problem: fmt.Sprintf("opening it is forbidden although its mode %04o allows it", mode), Help: cgroupHelp}
	}
	return &NodeError{Path: source, Problem: fmt.Sprintf("you may not read and write it (mode %04o)", mode), Help: groupHelp}
}

// optional is node for what may be missing.
func (p *planner) optional(name string, major, minor int, why string) bool {
	return p.node(name, major, minor, "", why) == nil
}

// strict tells whether nodes are real and are checked.
func (p *planner) strict() bool { return p.CheckNodes || p.Roots.Dev == "/dev" }

// What major says beside numbers.
const (
	notKnown  = 0 // /proc/devices cannot be read or names no driver of NVIDIA's, as in some containers
	notLoaded = -2
)

// major is the number that the kernel gave a driver at start.
func (p *planner) major(name string) int {
	b, err := readProc(path.Join(p.Roots.Proc, "devices"), 1<<20)
	if err != nil {
		return notKnown
	}
	characters, _, _ := strings.Cut(string(b), "Block devices:")
	found := notKnown
	for line := range strings.SplitSeq(characters, "\n") {
		number, n, _ := strings.Cut(strings.TrimSpace(line), " ")
		if m, err := strconv.Atoi(number); err == nil && n == name {
			return m
		}
		if strings.HasPrefix(n, "nvidia") {
			found = notLoaded // it is there, and this part of it is not
		}
	}
	return found
}

// sorted lists a folder of dev or sys in the order of the numbers in its names.
func sorted(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	list, _ := f.Readdirnames(maxNames)
	sort.Slice(list, func(i, j int) bool {
		if len(list[i]) != len(list[j]) {
			return len(list[i]) < len(list[j])
		}
		return list[i] < list[j]
	})
	return list
}
