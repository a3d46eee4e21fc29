package compat

import (
	"fmt"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// require holds the image's own requirements. A cuda>=X.Y that fails only by the minor version is a
// remark: from 11 on the driver runs all of its major version.
func (c *checking) require() {
	for _, text := range c.Require {
		e, err := ParseRequire(text)
		if err != nil {
			c.add(Problem{ID: IDRequireText, Need: clip(text), Have: "not checked", Text: fmt.Sprintf("the image's requirement is not readable and was not checked: %s", err), Source: "NVIDIA_REQUIRE_* of the image"}, true)
			continue
		}
		failing := c.failing(e, c.machine.cuda, true)
		if len(failing) == 0 {
			continue
		}
		soft := false
		if v := c.machine.cuda; v[0] >= 11 && c.driverRuns(v) {
			soft = len(c.failing(e, gpu.Version{v[0], 99}, true)) == 0
		}
		if c.driver && len(c.failing(e, gpu.Version{99, 0}, true)) == 0 {
			continue // that the driver is too old has been said
		}
		p := Problem{ID: IDRequire, Need: clip(e.String()), Blocks: !soft && c.all(len(failing)), Source: "NVIDIA_REQUIRE_* of the image"}
		p.Have = driverName(c.machine)
		if len(c.devices) > 0 {
			p.Have += ", " + and(labels(failing))
		}
		p.Text = fmt.Sprintf("the image requires %s; this machine has %s", short(e), p.Have)
		c.add(p, len(c.failing(e, c.machine.cuda, false)) > 0)
	}
}

// failing are the devices on which an expression does not hold, if the driver knew that CUDA version. A
// machine whose GPUs are not known is asked without one. What only a model's name tells (its brand, and
// the compute capability where the driver did not say it) counts if guess is set.
func (c *checking) failing(e Expr, v gpu.Version, guess bool) []device {
	devices := c.devices
	if len(devices) == 0 {
		devices = []device{{}}
	}
	var out []device
	for _, d := range devices {
		f := Facts{CUDA: v, Driver: c.machine.driver, Arch: d.cc, Brands: d.labels}
		if c.wsl {
			f.Driver = "" // images mean the numbers of Linux
		}
		if !guess {
			f.Brands = nil
			if d.byName {
				f.Arch = gpu.CC{}
			}
		}
		if e.Eval(f) == No {
			out = append(out, d)
		}
	}
	return out
}

// short is an expression's first alternative, and how many there are.
func short(e Expr) string {
	s := clip(join(e.alternatives[0]))
	switch n := len(e.alternatives) - 1; {
	case n == 1:
		s += " or " + clip(join(e.alternatives[1]))
	case n > 1:
		s += fmt.Sprintf(" or one of %d other combinations of GPU and driver", n)
	}
	return s
}

// clip keeps other people's text from filling the terminal.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}

// cudnn says where cuDNN does not support the GPU, unless more than that is missing.
func (c *checking) cudnn() {
	if c.Need.CUDNN == "" || c.kernels {
		return
	}
	row := cudnnRow(c.Need.CUDNN)
	if row == nil {
		return
	}
	var old, newer []device
	hi, limited := parseCode(row.Compute[1])
	for _, d := range c.devices {
		switch {
		case !cudnnTakes(c.Need.CUDNN, d.cc):
			old = append(old, d)
		case limited && d.cc[0] > hi.CC[0]:
			newer = append(newer, d)
		}
	}
	p := Problem{ID: IDCUDNN, Source: facts().GPUs[row.Source]}
	switch {
	case len(old) > 0:
		p.Need, p.Have = "compute capability >= "+row.Compute[0], and(capabilities(old))
		p.Text = fmt.Sprintf("cuDNN %s supports GPUs from compute capability %s on, and this machine has %s", c.Need.CUDNN, row.Compute[0], and(labels(old)))
		p.Blocks = c.all(len(old))
	case len(newer) > 0:
		p.Need, p.Have = "compute capability <= "+row.Compute[1], and(capabilities(newer))
		p.Text = fmt.Sprintf("cuDNN %s was made for GPUs up to compute capability %s, and this machine has %s", c.Need.CUDNN, row.Compute[1], and(labels(newer)))
	default:
		return
	}
	c.add(p, row.Checked && sure(old) && sure(newer))
}

// cudnnRow is the row that a version falls into.
func cudnnRow(version string) *cudnnRange {
	var out *cudnnRange
	for i := range facts().CUDNN {
		if row := &facts().CUDNN[i]; !older(version, row.CUDNN) {
			out = row
		}
	}
	return out
}

// cudnnTakes tells whether a cuDNN version still supports a GPU; what is not known it does.
func cudnnTakes(version string, cc gpu.CC) bool {
	if _, ok := numbers(version); !ok || cc == (gpu.CC{}) {
		return true
	}
	row := cudnnRow(version)
	if row == nil {
		return true
	}
	lo, ok := parseCode(row.Compute[0])
	return !ok || !cc.Less(lo.CC)
}

// glibc holds the image's C library against wheels and driver files.
func (c *checking) glibc() {
	none := [2]int{}
	if c.Glibc == none {
		return
	}
	have := glibcString(c.Glibc)
	if compare(c.WheelGlibc[:], c.Glibc[:]) > 0 {
		p := Problem{ID: IDGlibcWheel, Need: "glibc >= " + glibcString(c.WheelGlibc), Have: have, Blocks: true, Source: "file name of the wheel"}
		p.Text = fmt.Sprintf("%s needs glibc %s or newer; the image has %s", clip(c.WheelFile), glibcString(c.WheelGlibc), have)
		for _, s := range subjects(c.Need) {
			if s.fw != nil && strings.HasPrefix(strings.ToLower(c.WheelFile), s.fw.Package+"-") {
				p.Ways = c.machine.ways(c.Need, s)
			}
		}
		p.Ways = capped(append(p.Ways, "a base image with glibc "+glibcString(c.WheelGlibc)+" or newer"))
		c.add(p, true)
	}
	if compare(c.DriverGlibc[:], c.Glibc[:]) > 0 {
		file := "the driver's files"
		if c.DriverFile != "" {
			file = clip(c.DriverFile) + " of driver " + c.machine.driver
		}
		p := Problem{ID: IDGlibcDriver, Need: "glibc >= " + glibcString(c.DriverGlibc), Have: have, Blocks: true, Source: "the driver's files"}
		p.Text = fmt.Sprintf("%s needs glibc %s or newer; the image has %s", file, glibcString(c.DriverGlibc), have)
		p.Ways = []string{"a base image with glibc " + glibcString(c.DriverGlibc) + " or newer"}
		c.add(p, true)
	}
}
