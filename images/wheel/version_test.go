package wheel

import (
	"slices"
	"testing"
)

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{"Friendly-Bard": "friendly-bard", "FRIENDLY._-bard": "friendly-bard", "a": "a", "a--b": "a-b", "jaraco.text": "jaraco-text"} {
		if got := Normalize(in); got != want {
			t.Errorf("Normalize(%q) = %q, want %q", in, got, want)
		}
	}
	for _, bad := range []string{"", "-a", "a-", "a b", "a/b", "..", "é", "a\n"} {
		if ValidName(bad) {
			t.Errorf("%q passes for a name", bad)
		}
	}
}

// The order of PEP 440, each line below the next.
func TestVersionOrder(t *testing.T) {
	lines := []string{"1.0.dev1", "1.0a1.dev2", "1.0a1", "1.0a2", "1.0b1", "1.0rc1", "1.0", "1.0+abc.1", "1.0+1.2", "1.0.post1.dev3", "1.0.post1", "1.0.r4", "1.1", "1.9", "1.10", "10.0", "2!0.1"}
	for i := range lines {
		for j := range lines {
			a, err1 := ParseVersion(lines[i])
			b, err2 := ParseVersion(lines[j])
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%s against %s = %d, want %d", a, b, got, want)
			}
		}
	}
	for _, same := range [][2]string{{"1", "1.0.0"}, {"1.0c1", "1.0rc1"}, {"v1.0", "1.0"}, {"1.0-1", "1.0.post1"}, {"1.0-ALPHA", "1.0a0"}, {"1.0+Ubuntu-1", "1.0+ubuntu.1"}} {
		a, err1 := ParseVersion(same[0])
		b, err2 := ParseVersion(same[1])
		if err1 != nil || err2 != nil || a.Compare(b) != 0 {
			t.Errorf("%s and %s are not the same: %v %v", same[0], same[1], err1, err2)
		}
	}
	for _, bad := range []string{"", "x", "1_0", "1.0.x", "1..0", "1.0+", "99999999999999999999999", "1.0 2"} {
		if _, err := ParseVersion(bad); err == nil {
			t.Errorf("%q passes for a version", bad)
		}
	}
	v, _ := ParseVersion("1!2.5.1RC1.post2.dev3+CU-124")
	if v.Public() != "1!2.5.1rc1.post2.dev3" || v.Local() != "cu.124" || !v.Prerelease() {
		t.Errorf("parts: %s %s", v.Public(), v.Local())
	}
}

func TestSpecifier(t *testing.T) {
	for _, c := range []struct {
		spec, version string
		want          bool
	}{
		{"", "1", true}, {">=3.8,<4", "3.11", true}, {">=3.8,<4", "4.0", false}, {"<4", "4.0rc1", false}, {"<4rc2", "4.0rc1", true},
		{"==1.2.*", "1.2.7", true}, {"==1.2.*", "1.3", false}, {"!=1.2.*", "1.2", false}, {"~=2.5.1", "2.5.9", true}, {"~=2.5.1", "2.6", false}, {"~=2.5", "2.9", true},
		{"==2.5.1", "2.5.1+cu124", true}, {"==2.5.1+cpu", "2.5.1+cu124", false}, {">1.7", "1.7.post1", false}, {">1.7.post1", "1.7.post2", true}, {">1.7", "1.7+x", false},
		{"===1.0", "1.0", true}, {"===1.0", "1.0.0", false},
	} {
		s, err := ParseSpecifier(c.spec)
		v, err2 := ParseVersion(c.version)
		if err != nil || err2 != nil || s.Allows(v) != c.want {
			t.Errorf("%q allows %s = %v, want %v (%v, %v)", c.spec, c.version, s.Allows(v), c.want, err, err2)
		}
	}
	for _, bad := range []string{"1.0", "~=1", ">>1", "==", "==1.x"} {
		if _, err := ParseSpecifier(bad); err == nil {
			t.Errorf("%q passes for a condition", bad)
		}
	}
}

func TestMarkers(t *testing.T) {
	env := Target{Python: "3.11", Full: "3.11.2", Arch: "amd64"}.Environment([]string{"Test_X"}, []string{"dev"})
	for m, want := range map[string]bool{
		"":                        true,
		`python_version >= "3.8"`: true,
		`python_version < "3.9"`:  false, // as a string 3.11 would be less
		`python_version < '3.10' and os_name == 'posix' or sys_platform == "linux"`:   true,
		`python_version < '3.10' and (os_name == 'posix' or sys_platform == "linux")`: false,
		`extra == "test-x"`:                    true,
		`"none" == extra`:                      false,
		`'test_x' in extras`:                   true,
		`'dev' not in dependency_groups`:       false,
		`platform_machine in "x86_64 aarch64"`: true,
		`"arm" not in platform_machine`:        true,
		`python_full_version ~= "3.11.1"`:      true,
		`platform_release >= "5"`:              false,
		`os.name == "posix"`:                   true,
	} {
		got, err := env.Eval(m)
		if err != nil || got != want {
			t.Errorf("%s = %v, want %v (%v)", m, got, want, err)
		}
	}
	for _, bad := range []string{"python", "python_version", `python_version >= `, `nope == "1"`, `(os_name == "posix"`, `os_name = "posix"`, `os_name == "posix`, `os_name == "a" os_name`, "\x00", `extra > "a"`, `"a" == extras`} {
		if _, err := env.Eval(bad); err == nil {
			t.Errorf("%q passes for a marker", bad)
		}
	}
}

func TestTags(t *testing.T) {
	tags, err := Target{Python: "3.11", Arch: "amd64", Glibc: [2]int{2, 36}}.Tags()
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	for _, want := range []string{"cp311-cp311-manylinux_2_36_x86_64", "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux2014_x86_64", "cp311-cp311-manylinux1_x86_64", "cp311-cp311-linux_x86_64",
		"cp311-abi3-manylinux_2_36_x86_64", "cp37-abi3-manylinux_2_36_x86_64", "py3-none-manylinux2014_x86_64", "cp311-none-any", "py3-none-any", "py30-none-any"} {
		i := slices.Index(tags, want)
		if i <= last {
			t.Errorf("%s is at %d, after %d was wanted", want, i, last)
		}
		last = i
	}
	for _, not := range []string{"cp311-cp311-manylinux_2_37_x86_64", "cp312-abi3-manylinux_2_17_x86_64", "cp311-cp311-musllinux_1_1_x86_64", "cp310-cp310-linux_x86_64"} {
		if slices.Contains(tags, not) {
			t.Errorf("%s is among the tags", not)
		}
	}
	for _, c := range []struct {
		target Target
		file   string
		want   bool
	}{
		{Target{Python: "3.12", Arch: "amd64", Musl: [2]int{1, 2}}, "a-1-cp312-cp312-musllinux_1_1_x86_64.whl", true},
		{Target{Python: "3.12", Arch: "amd64", Musl: [2]int{1, 2}}, "a-1-cp312-cp312-manylinux2014_x86_64.whl", false},
		{Target{Python: "3.12", Arch: "arm64", Glibc: [2]int{2, 28}}, "a-1-cp39-abi3-manylinux_2_26_aarch64.manylinux_2_28_aarch64.whl", true},
		{Target{Python: "3.12", Arch: "arm64", Glibc: [2]int{2, 28}}, "a-1-cp39-abi3-manylinux1_aarch64.whl", false},
		{Target{Python: "3.7", Arch: "amd64", Glibc: [2]int{2, 28}}, "a-1-cp37-cp37m-manylinux1_x86_64.whl", true},
		{Target{Python: "3.11", Arch: "amd64", Glibc: [2]int{2, 28}}, "a-1-py2.py3-none-any.whl", true},
		{Target{Python: "3.11", Arch: "amd64", Glibc: [2]int{2, 28}}, "a-1-py2-none-any.whl", false},
	} {
		r, err := c.target.Ranker()
		f, err2 := ParseFilename(c.file)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if _, ok := r.Rank(f); ok != c.want {
			t.Errorf("%s on %+v: %v, want %v", c.file, c.target, ok, c.want)
		}
	}
}

func TestParseFilename(t *testing.T) {
	f, err := ParseFilename("torch-2.5.1+cu124-1abc-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
	if err != nil || f.Name != "torch" || f.Version != "2.5.1+cu124" || f.Build != "1abc" || len(f.Platform) != 2 {
		t.Errorf("%+v, %v", f, err)
	}
	for _, bad := range []string{"", "a.whl", "a-1.tar.gz", "a-1-py3-none.whl", "a-x-py3-none-any.whl", "a-1-b-py3-none-any.whl", "../a-1-py3-none-any.whl", "a-1-py3-none-any/.whl", "a-1-py3..py2-none-any.whl", "a-1-1-2-py3-none-any.whl"} {
		if _, err := ParseFilename(bad); err == nil {
			t.Errorf("%q passes for the name of a wheel", bad)
		}
	}
}
