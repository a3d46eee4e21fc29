package compat

import (
	"fmt"
	"slices"

	"github.com/4cc2e759/sandbox/gpu"
)

// Check holds a need against a machine. With picks, every one of those GPUs has to do; without, the machine
// is asked, and one GPU that does is enough (the others become remarks). A machine without a GPU has no
// problems here: that there is none is for whoever selects GPUs to say.
//
// The order is that of what has to be solved first: driver, GPU code, cuDNN, the image's own requirements,
// glibc; remarks last.
func Check(n Need, have gpu.Inventory, picks ...gpu.Pick) []Problem {
	m := machineOf(have, picks)
	c := checking{Need: n, machine: m}
	if m.driver != "" || len(m.devices) > 0 {
		for _, s := range subjects(n) {
			c.subject(s)
		}
		c.lockDriver()
		c.legacy()
		c.cudnn()
		c.require()
		c.glibc()
	}
	c.otherBuilds()
	slices.SortStableFunc(c.out, func(a, b Problem) int {
		switch {
		case a.Blocks == b.Blocks:
			return 0
		case a.Blocks:
			return -1
		}
		return 1
	})
	return c.out
}

type checking struct {
	Need
	machine
	out     []Problem
	driver  bool // the driver is too old for something
	kernels bool // some GPU has no code
}

const unverified = " (not verified)"

// add appends a problem. One that rests on an unchecked fact says so and does not block.
func (c *checking) add(p Problem, checked bool) {
	if !checked {
		p.Blocks = false
		p.Text += unverified
	}
	c.out = append(c.out, p)
}

func (c *checking) subject(s subject) {
	var ways []string
	if !c.driverRuns(s.cuda) {
		c.tooOld(s)
		ways = c.out[len(c.out)-1].Ways
		c.driver = true
	}
	if s.codes == nil {
		c.toolkit(s, ways)
		return
	}
	bad, stale, slow := c.without(s)
	if len(bad)+len(stale) == 0 {
		c.compiled(s, slow)
		return
	}
	p := Problem{ID: s.id(IDKernels), Blocks: c.all(len(bad) + len(stale)), Source: s.source}
	if len(bad) > 0 {
		c.kernels = true
		p.Need = "code for compute capability " + and(capabilities(bad))
		p.Have = codeList(s.codes)
		p.Text = fmt.Sprintf("%s has code for compute capability %s, and none for %s", s.name, p.Have, and(labels(bad)))
	} else {
		t := toolkitOf(s.cuda)
		p.Need, p.Have = "a driver for CUDA "+s.cuda.String(), c.machine.driver
		if t != nil {
			p.Need = "driver >= " + t.Driver
		}
		p.Text = fmt.Sprintf("%s has code for %s only in a form (PTX) that needs a driver for CUDA %s; this machine has %s", s.name, and(labels(stale)), s.cuda, driverName(c.machine))
	}
	if ways == nil {
		p.Ways = c.machine.ways(c.Need, s)
		if t := toolkitOf(s.cuda); len(bad) == 0 && t != nil {
			p.Ways = capped(append(p.Ways, c.driverWays(s, t.Driver)...))
		}
	}
	c.add(p, s.checked && sure(append(bad, stale...)))
}

// without are the devices that the code does not run on, those where only a newer driver is missing, and
// those for which the driver has to compile it.
func (c *checking) without(s subject) (bad, stale, slow []device) {
	for _, d := range c.devices {
		if d.cc == (gpu.CC{}) || s.codes == nil {
			continue
		}
		switch run(s.codes, d.cc, c.knowsPTX(s.cuda)) {
		case noCode:
			bad = append(bad, d)
		case oldPTX:
			stale = append(stale, d)
		case runsPTX:
			slow = append(slow, d)
		}
	}
	return bad, stale, slow
}

// compiled is a remark: the first start is slow, and libraries from before the GPU may lack code for it.
func (c *checking) compiled(s subject, slow []device) {
	if len(slow) == 0 {
		return
	}
	p := Problem{ID: s.id(IDCompiled), Need: "code for compute capability " + and(capabilities(slow)), Have: codeList(s.codes), Source: s.source}
	p.Text = fmt.Sprintf("%s has no code made for %s: the driver compiles it at the first start, which takes long", s.name, and(labels(slow)))
	if t := toolkitOf(s.cuda); t != nil && slices.ContainsFunc(slow, func(d device) bool { return toolkitPredates(*t, d.cc) }) {
		p.Text = fmt.Sprintf("%s has no code made for %s, and CUDA %s is older than that GPU: the driver compiles what it can at the first start, and some libraries may fail", s.name, and(labels(slow)), s.cuda)
	}
	c.add(p, s.checked && sure(slow))
}

// all tells whether n devices that cannot be used stop the program.
func (c *checking) all(n int) bool { return n > 0 && (c.chosen || n == len(c.devices)) }

// tooOld adds the problem of a driver that is too old for a subject.
func (c *checking) tooOld(s subject) {
	m := c.machine
	f, known := floor(s.cuda)
	p := Problem{ID: s.id(IDDriver), Have: m.driver, Blocks: true, Source: f.source}
	if m.wsl || !known {
		p.Need = "a driver for CUDA " + s.cuda.String()
		p.Text = fmt.Sprintf("%s needs %s; this machine has %s", s.name, p.Need, driverName(m))
		p.Ways = capped(append(m.ways(c.Need, s), "a newer driver"))
		c.add(p, true)
		return
	}
	p.Need = "driver >= " + f.version
	p.Text = fmt.Sprintf("%s needs driver %s or newer; this machine has %s", s.name, f.version, m.driver)
	if c.imageHelps(s.cuda) {
		p.Text += fmt.Sprintf(" and runs it with the image's compatibility libraries for CUDA %s", c.ImageCUDA)
		p.Blocks = false
		c.add(p, f.checked)
		return
	}
	p.Ways = capped(m.ways(c.Need, s))
	if bad, _, _ := c.without(s); len(bad) == 0 {
		p.Ways = capped(append(p.Ways, m.driverWays(s, f.version)...))
	}
	c.add(p, f.checked)
}

// toolkit is for what is not in the tables: at least the libraries of its CUDA version must have code for
// the GPU.
func (c *checking) toolkit(s subject, ways []string) {
	t := toolkitOf(s.cuda)
	if t == nil {
		return
	}
	var dropped, newer []device
	for _, d := range c.devices {
		switch {
		case toolkitLacks(*t, d.cc):
			dropped = append(dropped, d)
		case toolkitPredates(*t, d.cc):
			newer = append(newer, d)
		}
	}
	p := Problem{ID: s.id(IDKernels), Source: facts().CUDA[t.Source]}
	switch {
	case len(dropped) > 0:
		p.Need, p.Have = "code for compute capability "+and(capabilities(dropped)), t.Compute[0]+" and newer"
		p.Text = fmt.Sprintf("%s has code for compute capability %s and newer, and none for %s", s.name, t.Compute[0], and(labels(dropped)))
		p.Blocks, c.kernels = c.all(len(dropped)), true
		if ways == nil {
			p.Ways = c.machine.ways(c.Need, s)
		}
	case len(newer) > 0:
		p.Need, p.Have = "code for compute capability "+and(capabilities(newer)), "up to "+t.Compute[1]
		p.Text = fmt.Sprintf("CUDA %s was made before compute capability %s: what it built runs there only where it carries PTX, compiled at the first start", s.cuda, and(labels(newer)))
	default:
		return
	}
	c.add(p, t.Checked && sure(dropped) && sure(newer))
}

// lockDriver is the driver that the lock itself names.
func (c *checking) lockDriver() {
	if c.driver || c.wsl || c.Need.Driver == "" || !older(c.machine.driver, c.Need.Driver) {
		return
	}
	p := Problem{ID: IDDriver, Need: "driver >= " + c.Need.Driver, Have: c.machine.driver, Blocks: true, Source: "the lock"}
	p.Text = fmt.Sprintf("this environment needs driver %s or newer; this machine has %s", c.Need.Driver, c.machine.driver)
	if c.canHaveDriver(c.Need.Driver) {
		p.Ways = []string{"driver " + c.Need.Driver + " or newer" + c.lastBranch()}
	}
	c.add(p, true)
}

// legacy is a driver that no longer has code for a GPU of the machine.
func (c *checking) legacy() {
	var gone []device
	last := 0
	var row *generation
	for _, d := range c.devices {
		if g := generationOf(d.cc); g != nil && g.LastDriver != 0 && c.branch() > g.LastDriver && !c.wsl {
			gone, last, row = append(gone, d), g.LastDriver, g
		}
	}
	if row == nil || !c.Any() {
		return
	}
	c.add(Problem{ID: IDLegacyGPU, Need: "driver branch " + itoa(last), Have: c.machine.driver, Blocks: c.all(len(gone)), Source: facts().GPUs[row.Source],
		Text: fmt.Sprintf("%s GPUs are supported up to driver branch %d; this machine has %s", row.Name, last, c.machine.driver),
		Ways: []string{"driver branch " + itoa(last)}}, row.Checked && sure(gone))
}

// otherBuilds are remarks on builds that use no GPU of NVIDIA's.
func (c *checking) otherBuilds() {
	if len(c.CPUBuilds) > 0 {
		c.add(Problem{ID: IDCPUBuild, Need: "no GPU", Have: and(c.CPUBuilds), Text: "this build uses no GPU: " + and(c.CPUBuilds)}, true)
	}
	if len(c.OtherBuilds) > 0 {
		c.add(Problem{ID: IDOtherGPU, Need: "a GPU of another vendor", Have: and(c.OtherBuilds), Text: "this build uses no NVIDIA GPU: " + and(c.OtherBuilds)}, true)
	}
}

func labels(list []device) []string {
	var out []string
	for _, d := range list {
		if l := d.label(); !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

func capabilities(list []device) []string {
	var out []string
	for _, d := range list {
		if l := d.cc.String(); !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}
