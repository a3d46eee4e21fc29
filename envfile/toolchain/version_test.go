package toolchain

import "testing"

func TestUpstream(t *testing.T) {
	for deb, want := range map[string]string{
		"2.6.0+dfsg-7": "2.6.0", "1.13.1+dfsg-4": "1.13.1", "4:14.2.0-1": "14.2.0", "3.11.2-1+b1": "3.11.2",
		"12.4.127~12.4.1-2": "12.4.127", "11.8.89~11.8.0-5~deb12u1": "11.8.89", "2.22.3-1-1": "2.22.3",
		"9.0.0.312~cuda12": "9.0.0.312", "2.6.0+ds-1": "2.6.0", "1:2.47.3-0+deb13u1": "2.47.3", "0.21.0-3": "0.21.0",
		"3.14.0~rc2-1": "3.14.0rc2", "1.2+really1.1-3": "1.1", "9.1.0.70-1": "9.1.0.70", "2.21.5-1+cuda12.4": "2.21.5",
		"git20200101-1": "", "": "", "3.13.5": "3.13.5",
	} {
		if got := Upstream(deb); got != want {
			t.Errorf("%q: %q, want %q", deb, got, want)
		}
	}
}

func TestConstraintMatch(t *testing.T) {
	for _, c := range []struct {
		claim, version string
		want           bool
	}{
		{"3.11", "3.11.7", true}, {"3.11", "3.11", true}, {"3.1", "3.11.7", false}, {"3", "3.11.7", true}, {"3.11.7", "3.11", false},
		{"2.6", "2.6.0+debian", true}, {"2.6", Upstream("2.6.0+ds-3"), true}, {"2.5.1", "2.5.1+cu124", true}, {"2.5.1", "2.5.10", false},
		{"2.5.1+cu124", "2.5.1+cu124", true}, {"2.5.1+cu124", "2.5.1+cu121", false}, {"2.5.1+cu124", "2.5.1", false},
		{"==2.5.1", "2.5.1+cu124", true}, {"=2.5", "2.5.0", true}, {"==2.5", "2.5.1", false}, {"==2.5.*", "2.5.1", true},
		{">=2.1,<3", "2.5.1", true}, {">=2.1,<3", "3.0", false}, {">=2.1, < 3", "2.0.9", false}, {">= 2.1", "2.1.0rc1", false},
		{"!=2.5.0", "2.5.0", false}, {"~=2.5.1", "2.5.9", true}, {"~=2.5.1", "2.6.0", false}, {"~=3.9", "3.13.1", true},
		{">2.5", "2.5.0.post1", true}, {"<2", "2.0.0a0", true}, {"1.13", "1.13.0a0+gitunknown", true},
		{"auto", "anything", true}, {"auto", "", false}, {"2", "", false}, {"2", "unknown", false},
		{"12.4", "12.4.127", true}, {"9.1", "9.1.0.70", true}, {"9.1.0", "9.1.0.70", true}, {"9", "90.1", false},
	} {
		k, err := ParseConstraint(c.claim)
		if err != nil {
			t.Errorf("%q: %v", c.claim, err)
		} else if got := k.Match(c.version); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.claim, c.version, got, c.want)
		}
	}
	for _, bad := range []string{"", "latest", ">=", "2.x", "1 2", "~=2", "2.5.1;x", "==2.5.1 --index-url=x", "99999999999999999999"} {
		if _, err := ParseConstraint(bad); err == nil {
			t.Errorf("accepted: %q", bad)
		}
	}
}

func TestRequirement(t *testing.T) {
	for _, c := range [][3]string{
		{"2.5.1", "torch", "torch==2.5.1"}, {"2.5", "torch", "torch==2.5.*"}, {"2", "torch", "torch==2.*"}, {"==2.5", "torch", "torch==2.5"},
		{">=2.1, <3", "torch", "torch>=2.1,<3"}, {"auto", "torch", "torch"}, {"2.5.1+cu124", "torch", "torch==2.5.1+cu124"},
		{"2.6.0rc1", "torch", "torch==2.6.0rc1"}, {"~=2.5.1", "torch", "torch~=2.5.1"},
	} {
		k, err := ParseConstraint(c[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := k.requirement(c[1], 3); got != c[2] {
			t.Errorf("%q: %q, want %q", c[0], got, c[2])
		}
	}
}

func FuzzConstraint(f *testing.F) {
	f.Add(">=2.1,<3", "2.5.1+cu124")
	f.Add("3.11", "3.11.0rc1")
	f.Fuzz(func(t *testing.T, claim, version string) {
		c, err := ParseConstraint(claim)
		if err != nil {
			return
		}
		c.Match(version)
		if _, err := ParseVersion(Upstream(version)); Upstream(version) != "" && err != nil {
			t.Fatalf("upstream of %q is no version: %v", version, err)
		}
		// What a claim becomes is one requirement and no option.
		for _, r := range c.requirement("torch", 3) {
			if r <= ' ' || r == ';' || r == '@' {
				t.Fatalf("%q becomes %q", claim, c.requirement("torch", 3))
			}
		}
	})
}
