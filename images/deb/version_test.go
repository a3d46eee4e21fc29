package deb

import "testing"

func TestCompare(t *testing.T) {
	sorted := []string{ // each is older than the next
		"~", "0~~", "0~1", "0", "0.0~a", "0.0", "0.1", "0.a", "1~rc1-1", "1", "1-0.1", "1-1~bpo12+1", "1-1", "1-1+b1", "1-1+deb12u1",
		"1-1.1", "1.0", "1.0+1", "1.0+dfsg-1", "1.2-1", "1.10-1", "1.10a-1", "2", "10", "1:0~1", "1:0", "1:1-1", "2:0", "10:0",
	}
	for i, a := range sorted {
		for j, b := range sorted {
			c := Compare(a, b)
			if (i < j) != (c < 0) || (i > j) != (c > 0) {
				t.Errorf("Compare(%q, %q) = %d", a, b, c)
			}
		}
	}
	for _, p := range [][2]string{{"1", "0:1"}, {"1", "1-0"}, {"1.0", "1.00"}, {"1.a", "1.a0"}, {"01", "1"}} {
		if c := Compare(p[0], p[1]); c != 0 {
			t.Errorf("Compare(%q, %q) = %d, want 0", p[0], p[1], c)
		}
	}
}

// The order is one: reflexive, antisymmetric, transitive.
func FuzzCompare(f *testing.F) {
	f.Add("1.0-1", "1.0-1+b1", "1:0~rc")
	f.Add("", "~", "0")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		sign := func(n int) int { return max(-1, min(1, n)) }
		if Compare(a, a) != 0 {
			t.Fatalf("Compare(%q, %[1]q) is not 0", a)
		}
		if sign(Compare(a, b)) != -sign(Compare(b, a)) {
			t.Fatalf("%q and %q: not antisymmetric", a, b)
		}
		if Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			t.Fatalf("%q <= %q <= %q, but not %[1]q <= %[3]q", a, b, c)
		}
	})
}
