package compat

import (
	"fmt"
	"slices"

	"github.com/4cc2e759/sandbox/gpu"
)

// maxWays is how many ways a problem names.
const maxWays = 3

// works tells whether a build runs on this machine as far as anybody checked.
func (m machine) works(n Need, r *release, b *build) bool {
	if !b.Checked || !n.tabled() || !m.driverRuns(b.cuda) {
		return false
	}
	if g := glibcOf(r.Glibc); n.Glibc != [2]int{} && compare(g[:], n.Glibc[:]) > 0 {
		return false
	}
	t := toolkitOf(b.cuda)
	for _, d := range m.devices {
		v := run(b.codes, d.cc, m.knowsPTX(b.cuda))
		if d.cc == (gpu.CC{}) || v < runsPTX || v == runsPTX && (t == nil || toolkitPredates(*t, d.cc)) || !cudnnTakes(b.CUDNN, d.cc) {
			return false
		}
	}
	return len(m.devices) > 0
}

// ways are the nearest things that do run here: the same version of the framework for another CUDA, a
// later patch release, newer releases, and older ones if there is nothing else.
func (m machine) ways(n Need, s subject) []string {
	if s.fw == nil {
		return m.waysOfCUDA(n, s)
	}
	w := wayList{m: m, n: n, s: s}
	i := slices.IndexFunc(s.fw.Releases, func(r release) bool { return r.Minor == minor(s.version) })
	if i >= 0 {
		r := &s.fw.Releases[i]
		exact := s.version
		if parts(exact) < 3 {
			exact = r.newest()
		}
		w.add(r, exact, anyBuild)
		if older(exact, r.newest()) {
			w.add(r, r.newest(), anyBuild)
		}
	}
	newer := newerThan(s.fw, s.version)
	for k := range newer {
		if w.add(newer[k], newer[k].newest(), anyBuild) {
			break
		}
	}
	for k := range newer {
		if w.add(newer[k], newer[k].newest(), defaultBuild) {
			break
		}
	}
	for k := len(newer) - 1; k >= 0; k-- {
		if w.add(newer[k], newer[k].newest(), anyBuild) {
			break
		}
	}
	if len(w.out) == 0 {
		for k := len(s.fw.Releases) - 1; k >= 0; k-- {
			r := &s.fw.Releases[k]
			if older(r.Minor, minor(s.version)) && w.add(r, r.newest(), anyBuild) {
				break
			}
		}
	}
	return w.out
}

func newerThan(fw *framework, version string) []*release {
	var out []*release
	for i := range fw.Releases {
		if older(minor(version), fw.Releases[i].Minor) {
			out = append(out, &fw.Releases[i])
		}
	}
	return out
}

type wayList struct {
	m   machine
	n   Need
	s   subject
	out []string
}

type which int

const (
	anyBuild     which = iota
	defaultBuild       // only the one that comes without asking
)

// add names the best build of a release that works: the default one, else that for the newest CUDA. It
// tells whether there is one.
func (w *wayList) add(r *release, version string, kind which) bool {
	var best *build
	for i := range r.Builds {
		b := &r.Builds[i]
		if !b.has(version) || kind == defaultBuild && b.Tag != r.Default || !w.m.works(w.n, r, b) {
			continue
		}
		if b == w.s.build && version == w.s.version {
			continue // what does not work, for another reason
		}
		if best == nil || b.Tag == r.Default || best.Tag != r.Default && best.cuda.Less(b.cuda) {
			best = b
		}
	}
	if best == nil {
		return false
	}
	text := fmt.Sprintf("%s %s with CUDA %s (%s)", w.s.fw.Name, version, best.CUDA, best.install(r, version))
	if p := w.n.Python; p != "" && (older(minor(p), r.Python[0]) || older(r.Python[1], minor(p))) {
		text += fmt.Sprintf(", for Python %s to %s", r.Python[0], r.Python[1])
	}
	if len(w.out) < maxWays && !slices.Contains(w.out, text) {
		w.out = append(w.out, text)
	}
	return true
}

// install is what one writes to get the build.
func (b *build) install(r *release, version string) string {
	switch {
	case b.Install != "":
		return fmt.Sprintf(b.Install, version)
	case b.Tag == r.Default:
		return "torch==" + version
	}
	return "torch==" + version + "+" + b.Tag
}

// waysOfCUDA is the newest CUDA below the one that does not run.
func (m machine) waysOfCUDA(n Need, s subject) []string {
	rows := facts().Toolkits
	for i := len(rows) - 1; i >= 0; i-- {
		v := cudaVersion(rows[i].CUDA)
		if rows[i].Checked && v.Less(s.cuda) && m.driverRuns(v) && !slices.ContainsFunc(m.devices, func(d device) bool { return toolkitLacks(rows[i], d.cc) }) {
			return []string{"an image with CUDA " + rows[i].CUDA}
		}
	}
	return nil
}

// toolkitLacks tells whether the libraries of a toolkit no longer have code for a GPU.
func toolkitLacks(t toolkit, cc gpu.CC) bool {
	lo, ok := parseCode(t.Compute[0])
	return ok && cc != (gpu.CC{}) && cc.Less(lo.CC)
}

// toolkitPredates tells whether a toolkit is older than a GPU: its compiler and its libraries do not know it.
func toolkitPredates(t toolkit, cc gpu.CC) bool {
	hi, ok := parseCode(t.Compute[1])
	return ok && cc[0] > hi.CC[0]
}

// imageHelps tells whether the image carries compatibility libraries that run a CUDA version on this driver:
// NVIDIA's images of the versions in the table do, and say so in what they require.
func (c *checking) imageHelps(v gpu.Version) bool {
	if len(c.Require) == 0 || c.ImageCUDA.Less(v) || !c.forwardCompat(c.ImageCUDA) {
		return false
	}
	for _, text := range c.Require {
		e, err := ParseRequire(text)
		if err != nil || len(c.failing(e, c.machine.cuda, true)) > 0 {
			return false
		}
	}
	return true
}

// driverWays are the ways that leave the environment as it is.
func (m machine) driverWays(s subject, want string) []string {
	var out []string
	if m.forwardCompat(s.cuda) {
		out = append(out, fmt.Sprintf("the compatibility libraries of CUDA %s in the image (cuda-compat-%d-%d)", s.cuda, s.cuda[0], s.cuda[1]))
	}
	if m.canHaveDriver(want) && !m.wsl {
		out = append(out, "driver "+want+" or newer"+m.lastBranch())
	}
	return out
}

// lastBranch says where upgrades end for the devices.
func (m machine) lastBranch() string {
	last := 0
	for _, d := range m.devices {
		if g := generationOf(d.cc); g != nil && g.LastDriver != 0 && (last == 0 || g.LastDriver < last) {
			last = g.LastDriver
		}
	}
	if last == 0 {
		return ""
	}
	return ", up to branch " + itoa(last)
}

func capped(list []string) []string { return list[:min(len(list), maxWays)] }
