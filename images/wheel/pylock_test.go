package wheel

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const lockHead = "lock-version = \"1.0\"\ncreated-by = \"test\"\nrequires-python = \">=3.8\"\n"

var here = Target{Python: "3.11", Full: "3.11.2", Arch: "amd64", Glibc: [2]int{2, 36}}

func whl(name, hash string) string {
	return `{ name = "` + name + `", url = "https://files.invalid/` + name + `", size = 7, upload-time = 2024-01-02T03:04:05Z, hashes = { sha256 = "` + hash + `" } }`
}

func TestSelectTakesOneWheelEach(t *testing.T) {
	p, err := ParsePylock([]byte(lockHead + `
[[packages]]
name = "Zeta"
version = "1.0"
index = "https://index.invalid/simple"
wheels = [` + whl("zeta-1.0-py3-none-any.whl", hashA) + `, ` + whl("zeta-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", hashB) + `, ` + whl("zeta-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", hashA) + `]
[[packages]]
name = "alpha"
version = "2.0"
wheels = [{ url = "https://files.invalid/a/alpha-2.0-1-py3-none-any.whl", hashes = { sha256 = "` + hashA + `" } }, { url = "https://files.invalid/a/alpha-2.0-10-py3-none-any.whl#x", hashes = { sha256 = "` + hashB + `" } }]
[[packages]]
name = "win"
version = "1"
marker = "sys_platform == 'win32'"
wheels = [` + whl("win-1-py3-none-any.whl", hashA) + `]
[[packages]]
name = "dev"
version = "1"
marker = "'dev' in dependency_groups or 'x' in extras"
wheels = [` + whl("dev-1-py3-none-any.whl", hashA) + `]
`))
	if err != nil {
		t.Fatal(err)
	}
	pins, err := p.Select(here, nil, nil)
	if err != nil || len(pins) != 2 {
		t.Fatalf("%+v, %v", pins, err)
	}
	if a := pins[0]; a.File != "alpha-2.0-10-py3-none-any.whl" || a.SHA256 != hashB || a.Size != -1 {
		t.Errorf("%+v", a)
	}
	if z := pins[1]; z.File != "zeta-1.0-cp311-cp311-manylinux_2_17_x86_64.whl" || z.Size != 7 || z.UploadTime != "2024-01-02T03:04:05Z" || z.Index != "https://index.invalid/simple" {
		t.Errorf("%+v", z)
	}
	for _, c := range [][2][]string{{{"X"}, nil}, {nil, {"dev"}}} {
		if pins, err := p.Select(here, c[0], c[1]); err != nil || len(pins) != 3 {
			t.Errorf("with %v: %+v, %v", c, pins, err)
		}
	}
}

func TestSelectNamesPackagesWithoutWheels(t *testing.T) {
	p, err := ParsePylock([]byte(lockHead + `
[[packages]]
name = "src"
version = "1.0"
sdist = { name = "src-1.0.tar.gz", hashes = { sha256 = "` + hashA + `" } }
[[packages]]
name = "mac"
version = "1.0"
wheels = [` + whl("mac-1.0-cp311-cp311-macosx_11_0_arm64.whl", hashA) + `]
[[packages]]
name = "repo"
[packages.vcs]
type = "git"
url = "https://x.invalid"
`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Select(here, nil, nil)
	for _, want := range []string{"src 1.0 has only a source distribution, no wheel for Python 3.11", "mac 1.0 has no wheel for Python 3.11 on x86_64", "repo is not a wheel but a repository"} {
		wantError(t, err, want)
	}
	var none *NoWheelError
	if !errors.As(err, &none) {
		t.Errorf("error = %T", err)
	}
}

func TestPylockRefuses(t *testing.T) {
	for name, c := range map[string][2]string{
		"future version":  {"lock-version = \"2.0\"", "unknown version"},
		"no version":      {"", "unknown version"},
		"broken":          {"lock-version = ", "pylock.toml"},
		"odd name":        {lockHead + "[[packages]]\nname = \"../x\"", "not a project name"},
		"other python":    {strings.Replace(lockHead, "3.8", "3.12", 1), "needs Python >=3.12, this one is 3.11.2"},
		"other system":    {lockHead + "environments = [\"sys_platform == 'win32'\"]", "not for this system"},
		"bad marker":      {lockHead + "[[packages]]\nname = \"a\"\nmarker = \"x\"", "marker"},
		"twice":           {lockHead + "[[packages]]\nname = \"a\"\nversion=\"1\"\nwheels=[" + whl("a-1-py3-none-any.whl", hashA) + "]\n[[packages]]\nname = \"A\"\nversion=\"2\"", "two entries"},
		"no hash":         {lockHead + "[[packages]]\nname = \"a\"\nwheels=[{ url = \"https://x.invalid/a-1-py3-none-any.whl\" }]", "no sha256"},
		"another package": {lockHead + "[[packages]]\nname = \"a\"\nwheels=[" + whl("b-1-py3-none-any.whl", hashA) + "]", "another package"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := ParsePylock([]byte(c[0]))
			if err == nil {
				_, err = p.Select(here, nil, nil)
			}
			wantError(t, err, c[1])
		})
	}
}

// dirTree is a folder as a Tree.
type dirTree string

func (d dirTree) ReadFile(p string, max int64) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(d), p))
}
func (d dirTree) ReadDir(p string) ([]fs.DirEntry, error) {
	return os.ReadDir(filepath.Join(string(d), p))
}

func TestInstalled(t *testing.T) {
	root := t.TempDir()
	for p, s := range map[string]string{
		"usr/lib/python3/dist-packages/numpy-1.24.2.egg-info/PKG-INFO":          "Metadata-Version: 1.2\nName: numpy\nVersion: 1.24.2\nClassifier: a\nClassifier: b\n",
		"usr/lib/python3/dist-packages/six-1.16.0.egg-info":                     "Name: six\nVersion: 1.16.0\n",
		"usr/lib/python3/dist-packages/broken-1.egg-info/other":                 "",
		"usr/lib/python3/dist-packages/nover-1.dist-info/METADATA":              "Name: nover\n",
		"usr/local/lib/python3.11/dist-packages/NumPy-2.0.dist-info/METADATA":   "Name: NumPy\nVersion: 2.0\nRequires-Dist: a>=1\n\nbody: x\n",
		"usr/local/lib/python3.11/dist-packages/ed-1.dist-info/METADATA":        "Name: ed\nVersion: 1\n",
		"usr/local/lib/python3.11/dist-packages/ed-1.dist-info/direct_url.json": `{"dir_info": {"editable": true}, "url": "file:///x"}`,
	} {
		p = filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ds, err := Installed(dirTree(root), []string{"/usr/local/lib/python3.11/dist-packages", "/usr/lib/python3/dist-packages", "/nowhere", "/usr/lib/python3/dist-packages/six-1.16.0.egg-info"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range ds {
		s := d.Name + " " + d.Version
		if d.Editable {
			s += " editable"
		}
		got = append(got, s)
	}
	if strings.Join(got, ",") != "ed 1 editable,NumPy 2.0,six 1.16.0" {
		t.Errorf("installed = %v", got)
	}
	m := ParseMetadata(ds[1].Metadata)
	if r := m.All("requires-dist"); len(r) != 1 || r[0] != "a>=1" || m.Get("body") != "" {
		t.Errorf("metadata = %+v", m)
	}
}
