package wheel

import (
	"fmt"
	"strings"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// script is one entry point that becomes a file in bin.
type script struct{ name, module, attr string }

var (
	entryName = lazyregexp.New(`^[A-Za-z0-9_.+-][A-Za-z0-9_.+ -]*$`)
	entryRef  = lazyregexp.New(`^([\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*)*)\s*:\s*([\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*)*)\s*(?:\[.*\])?$`)
)

// parseEntryPoints gives the console and GUI scripts of entry_points.txt, in the order written. What
// they name goes into Python source, so only names are allowed there.
func parseEntryPoints(b []byte) ([]script, error) {
	var out []script
	wanted, seen := false, map[string]bool{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			wanted = line == "[console_scripts]" || line == "[gui_scripts]"
			continue
		}
		name, ref, ok := strings.Cut(line, "=")
		if !wanted || !ok {
			continue
		}
		name, ref = strings.TrimSpace(name), strings.TrimSpace(ref)
		m := entryRef.FindStringSubmatch(ref)
		if m == nil {
			return nil, fmt.Errorf("entry point %q: not module:function: %q", name, ref)
		}
		if !entryName.MatchString(name) || name == "." || name == ".." || len(name) > maxPart {
			return nil, fmt.Errorf("entry point: not a usable name: %q", name)
		}
		if !seen[name] {
			seen[name] = true
			out = append(out, script{name, m[1], m[2]})
		}
		if len(out) > 10_000 {
			return nil, fmt.Errorf("too many entry points")
		}
	}
	return out, nil
}

func (s script) text() []byte {
	first, _, _ := strings.Cut(s.attr, ".")
	return fmt.Appendf(nil, "#!%s\n# -*- coding: utf-8 -*-\nimport sys\nfrom %s import %s\nif __name__ == \"__main__\":\n    sys.exit(%s())\n",
		Interpreter, s.module, first, s.attr)
}
