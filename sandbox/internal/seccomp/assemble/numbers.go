package assemble

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Arches reads the numbers of an architecture and of its 32-bit sibling from golang.org/x/sys.
func Arches(goarch string) (native, compat Arch, err error) {
	pair := map[string][2]Arch{
		"amd64": {{Name: "amd64", Audit: 0xc000003e}, {Name: "386", Audit: 0x40000003}},
		"arm64": {{Name: "arm64", Audit: 0xc00000b7}, {Name: "arm", Audit: 0x40000028}},
	}[goarch]
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		return native, compat, fmt.Errorf("find golang.org/x/sys: %w", err)
	}
	for i := range pair {
		if pair[i].Calls, err = numbers(strings.TrimSpace(string(out)), pair[i].Name); err != nil {
			return native, compat, err
		}
	}
	return pair[0], pair[1], nil
}

var line = regexp.MustCompile(`(?m)^\s*SYS_([A-Z0-9_]+)\s+= (\d+)$`)

func numbers(dir, arch string) (map[string]uint32, error) {
	b, err := os.ReadFile(filepath.Join(dir, "unix", "zsysnum_linux_"+arch+".go"))
	if err != nil {
		return nil, err
	}
	calls := map[string]uint32{}
	for _, m := range line.FindAllStringSubmatch(string(b), -1) {
		n, err := strconv.ParseUint(m[2], 10, 32)
		if err != nil {
			return nil, err
		}
		calls[strings.ToLower(m[1])] = uint32(n)
	}
	if len(calls) < 200 {
		return nil, fmt.Errorf("%d system calls for %s", len(calls), arch)
	}
	return calls, nil
}
