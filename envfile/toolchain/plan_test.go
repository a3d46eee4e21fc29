package toolchain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// What the archives of two Debian releases offer, as read from them.
var (
	trixie = map[string]string{"python3": "3.13.5-1", "python3-torch": "2.6.0+dfsg-7", "python3-torchvision": "0.21.0-3", "python3-torchaudio": "2.6.0-1",
		"nvidia-cuda-toolkit": "12.4.131~12.4.1-2", "libnccl2": "2.22.3-1-1", "gcc": "4:14.2.0-1", "git": "1:2.47.3-0+deb13u1", "cmake": "3.31.6-2"}
	bookworm = map[string]string{"python3": "3.11.2-1+b1", "python3-torch": "1.13.1+dfsg-4", "python3-torchvision": "0.14.1-2", "gcc": "4:12.2.0-3"}
)

func offers(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func (s Step) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s", s.Tool, s.Want, s.Kind)
	if s.Version != "" {
		fmt.Fprintf(&b, " %s", s.Version)
	}
	if s.At != "" {
		fmt.Fprintf(&b, " in %s", s.At)
	}
	for _, d := range s.Debs {
		fmt.Fprintf(&b, " deb:%s=%s", d.Name, d.Version)
	}
	for _, r := range s.Requirements {
		fmt.Fprintf(&b, " need:%s", r)
	}
	for _, r := range s.Constraints {
		fmt.Fprintf(&b, " hold:%s", r)
	}
	b.WriteString("\n")
	if s.Reason != "" {
		fmt.Fprintf(&b, "  because %s\n", s.Reason)
	}
	for _, n := range s.Nearest {
		fmt.Fprintf(&b, "  nearest %s\n", n)
	}
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	return b.String()
}

type planCase struct {
	name   string
	tree   string
	claims map[string]string
	debs   map[string]string
	index  bool
	more   func(e *Evidence)
}

func planCases() []planCase {
	design := map[string]string{"python": "3.11", "pytorch": "2.5.1", "cuda": "12.4", "cudnn": "9.1"}
	return []planCase{
		{name: "the image has it all", tree: "pytorch-2.5.1-cuda12.4", claims: design, index: true},
		{name: "the image has everything but another CUDA", tree: "pytorch-2.5.1-cuda12.4", claims: map[string]string{"pytorch": "2.5.1", "cuda": "12.1"}, index: true},
		{name: "a newer torchvision over the image's torch", tree: "pytorch-2.5.1-cuda12.4", claims: map[string]string{"pytorch": "2.5", "torchvision": "0.20.2"}, index: true},
		{name: "another torch than the image's", tree: "pytorch-2.5.1-cuda12.4", claims: map[string]string{"pytorch": "2.6", "cuda": "12.4"}, index: true, debs: trixie},
		{name: "everything from the archive", tree: "trixie-minbase", claims: map[string]string{"python": "3.13", "pytorch": "2.6", "torchvision": "auto", "gcc": "14", "git": "auto"}, debs: trixie, index: true},
		{name: "it is all there on trixie", tree: "trixie-torch", claims: map[string]string{"python": ">=3.10,<3.14", "pytorch": "2.6.0", "torchvision": "0.21", "gcc": "14.2"}},
		{name: "Debian's torch by its own word", tree: "bookworm-torch", claims: map[string]string{"pytorch": "1.13.1"}},
		{name: "CUDA with Debian's torch in the base", tree: "trixie-torch", claims: map[string]string{"pytorch": "2.6", "cuda": "12.4"}, debs: trixie},
		{name: "CUDA where only Debian's torch could be had", tree: "trixie-minbase", claims: map[string]string{"pytorch": "2.6", "cuda": "12.4"}, debs: trixie},
		{name: "a GPU where only Debian's torch could be had", tree: "trixie-minbase", claims: map[string]string{"pytorch": "2.6"}, debs: trixie, more: func(e *Evidence) { e.GPU = true }},
		{name: "the design's claims from wheels", tree: "trixie-minbase", claims: map[string]string{"python": "3.13", "pytorch": "2.5.1", "cuda": "12.4", "cudnn": "9.1", "nccl": "2.21"}, debs: trixie, index: true},
		{name: "wheels where facts speak against", tree: "python-3.11-slim", claims: map[string]string{"pytorch": "2.5.1", "cuda": "12.1"}, index: true},
		{name: "the same on a driver that ends at 12.2", tree: "python-3.11-slim", claims: map[string]string{"pytorch": "2.5.1", "cuda": "12.1"}, index: true, more: func(e *Evidence) {
			e.Runs = func(cuda string) bool { return mustVersion(cuda).Compare(mustVersion("12.2")) <= 0 }
		}},
		{name: "the seed's claims", tree: "python-3.11-slim", claims: map[string]string{"pytorch": "1.7.0", "cuda": "10.1", "cudnn": "7.6"}, index: true},
		{name: "CUDA 13 has names without suffix", tree: "python-3.11-slim", claims: map[string]string{"pytorch": "2.15", "cuda": "13"}, index: true},
		{name: "a range of CUDA", tree: "python-3.11-slim", claims: map[string]string{"pytorch": "2", "cuda": ">=12.1,<13"}, index: true},
		{name: "Debian's torch is not for the image's Python", tree: "python-3.11-slim", claims: map[string]string{"pytorch": "1.13"}, debs: bookworm},
		{name: "no index and no archive", tree: "trixie-minbase", claims: map[string]string{"pytorch": "2.5.1", "python": "3.12"}},
		{name: "another Debian release has that Python", tree: "trixie-minbase", claims: map[string]string{"python": "3.11"}, debs: trixie},
		{name: "a standalone Python", tree: "trixie-minbase", claims: map[string]string{"python": "3.12"}, debs: trixie, more: func(e *Evidence) { e.Interpreters = []string{"3.12.11", "3.11.13"} }},
		{name: "a version that no index has", tree: "trixie-torch", claims: map[string]string{"pytorch": "2.5.9"}, debs: trixie, index: true,
			more: func(e *Evidence) {
				e.Versions = func(string) []string { return []string{"2.8.0", "2.6.0", "2.5.1", "2.5.0", "2.4.1"} }
			}},
		{name: "torchvision decides with torch", tree: "trixie-minbase", claims: map[string]string{"pytorch": "2.6", "torchvision": "0.20"}, debs: trixie, index: true},
		{name: "torchvision of another release", tree: "python-3.11-slim", claims: map[string]string{"pytorch": "2.5.1", "torchvision": "0.21", "torchaudio": "2.5"}, index: true},
		{name: "cuda without a framework", tree: "trixie-minbase", claims: map[string]string{"cuda": "12.4"}},
		{name: "cuda as a toolkit from the archive", tree: "trixie-minbase", claims: map[string]string{"cuda": "12.4"}, debs: trixie},
		{name: "cuda that requirements may bring", tree: "trixie-torch", claims: map[string]string{"cuda": "12.4"}, index: true, more: func(e *Evidence) { e.Requested = []string{"vllm"} }},
		{name: "cuda of a toolkit image", tree: "cuda-12.1-devel", claims: map[string]string{"cuda": "12.1", "cudnn": "8.9", "nccl": "2", "gcc": "11"}},
		{name: "the toolkit is not what torch uses", tree: "cuda-12.1-devel", claims: map[string]string{"pytorch": "2.5.1", "cuda": "12.1"}},
		{name: "jax and tensorflow", tree: "python-3.11-slim", claims: map[string]string{"jax": "0.4", "tensorflow": ">=2.16,<2.18"}, debs: bookworm, index: true},
		{name: "jax without an index", tree: "trixie-torch", claims: map[string]string{"jax": "0.4"}, debs: trixie},
		{name: "gcc of another release", tree: "trixie-minbase", claims: map[string]string{"gcc": "12"}, debs: trixie},
		{name: "a venv covers what lies below", tree: "env-over-trixie", claims: map[string]string{"pytorch": "2.6"}},
		{name: "nothing claimed", tree: "trixie-minbase"},
	}
}

func TestPlan(t *testing.T) {
	var b strings.Builder
	for _, c := range planCases() {
		e := Evidence{Found: Detect(FromFS(treeFS(t, c.tree))), Index: c.index}
		if c.debs != nil {
			e.Candidates = offers(c.debs)
		}
		if c.more != nil {
			c.more(&e)
		}
		steps, err := Plan(c.claims, e)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		fmt.Fprintf(&b, "# %s\n", c.name)
		for _, k := range slices.Sorted(maps.Keys(c.claims)) {
			if !slices.ContainsFunc(steps, func(s Step) bool { return s.Tool == k && s.Want == c.claims[k] }) {
				t.Errorf("%s: no step for %s", c.name, k)
			}
		}
		for _, s := range steps {
			b.WriteString(s.text())
		}
		if err := Refusals(steps); err != nil {
			fmt.Fprintf(&b, "error: %v\n", err)
			for _, h := range hint.Of(err) {
				fmt.Fprintf(&b, "\nhint: %s\n", h)
			}
		}
		b.WriteString("\n")
	}
	golden(t, "plan.txt", b.String())
}

func TestPlanRefusesWhatIsNoClaim(t *testing.T) {
	for _, claims := range []map[string]string{{"pytroch": "2"}, {"python": "latest"}, {"python": ""}} {
		if _, err := Plan(claims, Evidence{}); err == nil {
			t.Errorf("accepted: %v", claims)
		}
	}
}
