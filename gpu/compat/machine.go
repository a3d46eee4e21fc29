package compat

import (
	"slices"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/gpu"
)

// machine is what a need is held against.
type machine struct {
	driver  string
	cuda    gpu.Version // highest that the driver knows
	wsl     bool        // its drivers have Windows' numbers
	devices []device
	chosen  bool // the devices are those that the program gets; otherwise any of them will do
}

type device struct {
	gpu.Device
	cc     gpu.CC // zero if not known
	byName bool   // cc is what the table of models says, which nobody checked
	model  *model // nil if not known
	labels []string
}

func machineOf(have gpu.Inventory, picks []gpu.Pick) machine {
	m := machine{driver: have.Driver, cuda: have.CUDA, wsl: have.Source == "wsl", chosen: len(picks) > 0}
	if m.driver == "" {
		m.driver = have.Module
	}
	list := have.Devices
	if m.chosen {
		list = nil
		for _, p := range picks {
			if !slices.ContainsFunc(list, func(d gpu.Device) bool { return d.ID() == p.Device.ID() }) { // slices of one GPU
				list = append(list, p.Device)
			}
		}
	}
	for _, d := range list {
		if d.Error != "" && !m.chosen {
			continue
		}
		x := device{Device: d, cc: d.CC, model: modelOf(d.Name), labels: brands(d.Name)}
		if x.cc == (gpu.CC{}) && x.model != nil {
			if c, ok := parseCode(x.model.Compute); ok {
				x.cc, x.byName = c.CC, !x.model.Checked
			}
		}
		m.devices = append(m.devices, x)
	}
	return m
}

// sure tells whether the compute capability of every device comes from the driver.
func sure(list []device) bool {
	return !slices.ContainsFunc(list, func(d device) bool { return d.byName })
}

// label is "9.0 (NVIDIA H200)".
func (d device) label() string {
	if d.Name == "" {
		return d.cc.String()
	}
	return d.cc.String() + " (" + d.Name + ")"
}

// modelOf finds the row whose words are in the name, the longest: "RTX 5000 Ada" and not "RTX 5000".
func modelOf(name string) *model {
	var best *model
	words := nameWords(name)
	for i := range facts().Models {
		m := &facts().Models[i]
		w := nameWords(m.Name)
		if containsRun(words, w) && (best == nil || len(m.Name) > len(best.Name)) {
			best = m
		}
	}
	return best
}

func nameWords(s string) []string {
	return strings.FieldsFunc(strings.ToUpper(s), func(r rune) bool { return r == ' ' || r == '-' || r == '_' || r == '/' })
}

func containsRun(words, run []string) bool {
	for i := 0; i+len(run) <= len(words); i++ {
		if slices.Equal(words[i:i+len(run)], run) {
			return true
		}
	}
	return false
}

// brands are the names that NVIDIA's library may give the brand of a GPU. It changed them over the
// branches of the driver, so that one GPU has several.
func brands(name string) []string {
	low := strings.TrimPrefix(strings.ToLower(name), "nvidia ")
	for _, b := range []struct {
		prefix string
		brands []string
	}{
		{"tesla", []string{"tesla"}}, {"geforce rtx", []string{"geforcertx", "geforce"}}, {"geforce", []string{"geforce"}},
		{"quadro rtx", []string{"quadrortx", "quadro"}}, {"quadro", []string{"quadro"}}, {"titan rtx", []string{"titanrtx", "titan"}},
		{"titan", []string{"titan"}}, {"grid", []string{"grid"}}, {"nvs", []string{"nvs"}}, {"rtx", []string{"nvidiartx", "nvidia"}},
	} {
		if strings.HasPrefix(low, b.prefix) {
			return b.brands
		}
	}
	if m := modelOf(name); m != nil && m.DataCentre != "" {
		return []string{"nvidia", "tesla"}
	}
	return nil
}

// driverFloor is what a CUDA version asks of the driver.
type driverFloor struct {
	version string // "525.60.13"
	source  string
	checked bool
}

// floor is the lowest driver for a CUDA version: from 11 on that of its major version or of the toolkit
// itself, whichever is lower; before, the toolkit's own. ok is false where the tables do not know.
func floor(v gpu.Version) (f driverFloor, ok bool) {
	t := facts()
	if v[0] >= 11 {
		for _, row := range t.Families {
			if row.Major == v[0] {
				f, ok = driverFloor{row.Driver, t.CUDA[row.Source], row.Checked}, true
			}
		}
	}
	for _, row := range t.Toolkits {
		if row.CUDA == v.String() && (!ok || older(row.Driver, f.version)) {
			f, ok = driverFloor{row.Driver, t.CUDA[row.Source], row.Checked}, true
		}
	}
	return f, ok
}

// driverRuns tells whether the driver runs programs of a CUDA version. What is not known runs.
func (m machine) driverRuns(v gpu.Version) bool {
	if !v.Known() {
		return true
	}
	f, known := floor(v)
	if m.wsl || !known {
		if !m.cuda.Known() {
			return true
		}
		if v[0] >= 11 {
			return m.cuda[0] >= v[0]
		}
		return !m.cuda.Less(v)
	}
	return !older(m.driver, f.version)
}

// knowsPTX tells whether the driver can compile what a CUDA version made: it has to be as new as that
// version itself, not only as its major version.
func (m machine) knowsPTX(v gpu.Version) bool {
	if m.cuda.Known() {
		return !m.cuda.Less(v)
	}
	if t := toolkitOf(v); t != nil && !m.wsl {
		return !older(m.driver, t.Driver)
	}
	return true
}

func toolkitOf(v gpu.Version) *toolkit {
	for i := range facts().Toolkits {
		if facts().Toolkits[i].CUDA == v.String() {
			return &facts().Toolkits[i]
		}
	}
	return nil
}

// branch is the major part of the driver's version.
func (m machine) branch() int {
	n, ok := numbers(m.driver)
	if !ok {
		return 0
	}
	return n[0]
}

// generationOf is the family of GPUs that a compute capability belongs to.
func generationOf(cc gpu.CC) *generation {
	for i := range facts().Generations {
		g := &facts().Generations[i]
		lo, okLo := parseCode(g.Compute[0])
		hi, okHi := parseCode(g.Compute[1])
		if okLo && okHi && !cc.Less(lo.CC) && !hi.CC.Less(cc) {
			return g
		}
	}
	return nil
}

// canHaveDriver tells whether every device is supported by the branch that a driver version belongs to.
func (m machine) canHaveDriver(version string) bool {
	n, ok := numbers(version)
	if !ok {
		return false
	}
	for _, d := range m.devices {
		if g := generationOf(d.cc); g == nil || g.LastDriver != 0 && g.LastDriver < n[0] {
			return false
		}
	}
	return true
}

// dataCentre tells whether all devices are data-centre GPUs, for which alone NVIDIA's forward-compatibility
// libraries are made, and somebody looked it up.
func (m machine) dataCentre() bool {
	return len(m.devices) > 0 && !slices.ContainsFunc(m.devices, func(d device) bool {
		return d.model == nil || d.model.DataCentre == "" || d.model.DataCentre == "memory"
	})
}

// forwardCompat tells whether the compatibility libraries of a CUDA version work on this driver.
func (m machine) forwardCompat(v gpu.Version) bool {
	for _, f := range facts().Forward {
		if f.CUDA == v.String() && f.Checked {
			return m.dataCentre() && !m.wsl && slices.Contains(f.Branches, m.branch())
		}
	}
	return false
}

func driverName(m machine) string {
	if m.cuda.Known() {
		return "driver " + m.driver + " (CUDA " + m.cuda.String() + ")"
	}
	return "driver " + m.driver
}

func itoa(n int) string { return strconv.Itoa(n) }
