package compat

import (
	"strings"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
)

func TestRequire(t *testing.T) {
	t4 := Facts{CUDA: gpu.Version{11, 4}, Driver: "470.82.01", Arch: gpu.CC{7, 5}, Brands: []string{"tesla"}}
	geforce := Facts{CUDA: gpu.Version{12, 2}, Driver: "535.261.03", Arch: gpu.CC{8, 9}, Brands: []string{"geforcertx", "geforce"}}
	for _, c := range []struct {
		expr string
		f    Facts
		want Verdict
	}{
		{"", t4, Yes},
		{"   ", t4, Yes},
		{"cuda>=11.4", t4, Yes},
		{"cuda>=12.0", t4, No},
		{"cuda>11.4", t4, No},
		{"cuda<12", t4, Yes},
		{"cuda=11.4", t4, Yes},
		{"cuda!=11.4", t4, No},
		{"cuda<=11.3", t4, No},
		{"cuda>=12.0 driver>=470", t4, Yes}, // a space is or
		{"cuda>=12.0,driver>=470", t4, No},  // a comma is and
		{"cuda>=12.0 brand=tesla,driver>=470,driver<471", t4, Yes},
		{"cuda>=12.0 brand=tesla,driver>=470,driver<471", geforce, Yes},
		{"cuda>=12.4 brand=tesla,driver>=535,driver<536", geforce, No},
		{"cuda>=12.4 brand=GeForce,driver>=535,driver<536", geforce, Yes},
		{"brand!=tesla", t4, No},
		{"brand!=tesla", geforce, Yes},
		{"arch>=8.0", t4, No},
		{"arch>=8.0,arch<9", geforce, Yes},
		{"driver>=470.82.1", t4, Yes}, // 01 is 1
		{"driver>=470.103.1", t4, No}, // 103 is more than 82
		{"driver>=1000", geforce, No}, // by number, not by letter
		{"jetpack>=5.0", t4, Yes},     // what is not known is left out
		{"jetpack>=5.0,cuda>=12", t4, No},
		{"cuda>=12,,", t4, No},
		{"cuda>=12", Facts{}, Unknown},
		{"cuda>=12 driver>=1", Facts{Driver: "470"}, Yes},
		{"cuda>=12,driver>=500", Facts{Driver: "470"}, No},
		{"brand=tesla", Facts{}, Unknown},
		{"brand<tesla", t4, Unknown},
	} {
		e, err := ParseRequire(c.expr)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		if got := e.Eval(c.f); got != c.want {
			t.Errorf("%s: %s, want %s", c.expr, got, c.want)
		}
	}
}

func TestRequirementsThatCannotBeRead(t *testing.T) {
	for expr, want := range map[string]string{
		"cuda":                          `not a condition: "cuda"`,
		"cuda>=12.0 x":                  `not a condition: "x"`,
		"cuda>=":                        `not a version of cuda: ""`,
		"cuda>=twelve":                  `not a version of cuda: "twelve"`,
		"cuda==12.0":                    `not a version of cuda: "=12.0"`,
		"driver>=470..1":                `not a version of driver: "470..1"`,
		"cuda!12":                       `not an operator: "!12"`,
		"brand=":                        `not a brand: ""`,
		"arch>=9999999999999":           `not a version of arch: "9999999999999"`,
		strings.Repeat("a", 1<<17):      "requirement is too long: 131072 bytes",
		strings.Repeat("cuda>1 ", 5000): "requirement has too many alternatives",
	} {
		_, err := ParseRequire(expr)
		if err == nil || err.Error() != want {
			t.Errorf("%.40s: %v, want %s", expr, err, want)
		}
	}
}

func FuzzParseRequire(f *testing.F) {
	for _, s := range []string{
		"", " ", "cuda>=12.4", "cuda>=9.0", require124, "brand=tesla,driver>=470,driver<471", "arch>=7.5 arch=5.3", "jetpack>=5", "cuda>=12.4,,", ",", "<>=!",
		"cuda!=11.0 brand!=grid", "driver>=450.80.02", "cuda", "cuda>=", "cuda>=1.2.3.4.5.6.7.8.9", "cuda>=0.0", "brand=\x00", "cuda\u2265" + "12", "cuda>=12\tdriver>1\n",
	} {
		f.Add(s)
	}
	full := Facts{CUDA: gpu.Version{12, 2}, Driver: "535.261.03", Arch: gpu.CC{8, 9}, Brands: []string{"geforcertx", "geforce"}}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseRequire(s)
		if err != nil {
			if e.String() != "" || len(err.Error()) > 1000 {
				t.Fatalf("an error with an expression, or a long one: %q", err)
			}
			return
		}
		again, err := ParseRequire(e.String())
		if err != nil || again.String() != e.String() {
			t.Fatalf("%q reads back as %q: %v", e, again, err)
		}
		if e.Eval(full) != again.Eval(full) {
			t.Fatalf("%q means something else when read again", e)
		}
		// Where nothing is known, nothing is refused.
		if e.Eval(Facts{}) == No {
			t.Fatalf("%q is refused without a fact", e)
		}
		// One more alternative never makes it worse, one more condition never better.
		if more, err := ParseRequire(e.String() + " driver>=1"); err == nil && more.Eval(full) < e.Eval(full) {
			t.Fatalf("%q is worse with an alternative", e)
		}
		// What comes of it is printed: no control characters, bounded.
		n := Need{Require: []string{s}, Sources: map[string]string{}}
		for _, p := range Check(n, h200, picked(h200)...) {
			if len(p.Text) > 4000 || strings.ContainsAny(p.Text, "\n\r\x1b\x00") {
				t.Fatalf("%q", p.Text)
			}
		}
	})
}
