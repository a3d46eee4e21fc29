package gpu

import (
	"slices"
	"strconv"
	"strings"
)

// parseID recognises the name of a GPU or slice and writes it in one way: "GPU-8f3a…" and "MIG-…" in
// lower case after the prefix, PCI addresses as sysfs spells them.
func parseID(s string) (string, bool) {
	for _, prefix := range []string{"GPU-", "MIG-"} {
		if len(s) <= len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
			continue
		}
		rest := strings.ToLower(s[len(prefix):])
		if prefix == "MIG-" && strings.HasPrefix(rest, "gpu-") {
			return parseOldMIG(rest[4:])
		}
		if len(rest) > 36 || !isHex(rest) {
			return "", false
		}
		return prefix + rest, true
	}
	return parsePCI(s)
}

// parseOldMIG reads the rest of "MIG-GPU-<UUID>/7/0", as drivers before 470 name slices.
func parseOldMIG(rest string) (string, bool) {
	parts := strings.Split(rest, "/")
	if len(parts) != 3 || len(parts[0]) > 36 || !isHex(parts[0]) {
		return "", false
	}
	for _, p := range parts[1:] {
		if _, err := strconv.ParseUint(p, 10, 16); err != nil {
			return "", false
		}
	}
	return "MIG-GPU-" + strings.Join(parts, "/"), true
}

// parsePCI reads "0000:3b:00.0", "3B:00.0" (domain 0, as lspci prints it) and "00000000:3B:00.0" (as
// nvidia-smi prints it).
func parsePCI(s string) (string, bool) {
	parts := strings.Split(s, ":")
	if len(parts) == 2 {
		parts = append([]string{"0"}, parts...)
	}
	if len(parts) != 3 {
		return "", false
	}
	device, function, ok := strings.Cut(parts[2], ".")
	fields := []struct {
		text string
		bits int
		long int
	}{{parts[0], 32, 8}, {parts[1], 8, 2}, {device, 5, 2}, {function, 3, 1}}
	var n [4]uint64
	for i, f := range fields {
		v, err := strconv.ParseUint(f.text, 16, f.bits)
		if !ok || err != nil || len(f.text) > f.long {
			return "", false
		}
		n[i] = v
	}
	return pad(n[0], 4) + ":" + pad(n[1], 2) + ":" + pad(n[2], 2) + "." + pad(n[3], 1), true
}

func pad(n uint64, width int) string {
	s := strconv.FormatUint(n, 16)
	return strings.Repeat("0", max(0, width-len(s))) + s
}

// resolve says which GPUs and slices the names mean, in their order. A name that nothing has is an
// [*UnknownError], one that several have an [*AmbiguousError].
func resolve(names []string, inv Inventory) ([]string, error) {
	var out []string
	for _, name := range names {
		found := matches(name, inv)
		switch {
		case len(found) == 0:
			return nil, &UnknownError{ID: name, Have: everyID(inv)}
		case len(found) > 1:
			return nil, &AmbiguousError{ID: name, Means: found}
		case !slices.Contains(out, found[0]):
			out = append(out, found[0])
		}
	}
	return out, nil
}

// matches are the IDs that a name may mean; a whole UUID means just that one.
func matches(name string, inv Inventory) []string {
	if canonical, ok := parseID(name); ok {
		name = canonical
	}
	var out []string
	for _, d := range inv.Devices {
		if i, ok := strings.CutPrefix(name, "index="); ok && i == strconv.Itoa(d.Index) || name == d.BDF || strings.EqualFold(name, d.UUID) {
			return []string{d.ID()}
		}
		if begins(d.UUID, name) {
			out = append(out, d.ID())
		}
		for _, m := range d.MIG {
			old := "MIG-" + d.UUID + "/" + strconv.Itoa(m.GI) + "/" + strconv.Itoa(m.CI)
			if strings.EqualFold(name, m.UUID) || strings.EqualFold(name, old) {
				return []string{m.UUID}
			}
			if begins(m.UUID, name) {
				out = append(out, m.UUID)
			}
		}
	}
	return out
}

// begins compares without case, and wants more than the word before the dash.
func begins(uuid, name string) bool {
	return len(name) > len("GPU-") && len(name) <= len(uuid) && strings.EqualFold(uuid[:len(name)], name) &&
		(strings.HasPrefix(name, "GPU-") || strings.HasPrefix(name, "MIG-"))
}

func everyID(inv Inventory) []string {
	var out []string
	for _, d := range inv.Devices {
		out = append(out, d.ID())
		for _, m := range d.MIG {
			out = append(out, m.UUID)
		}
	}
	return out
}
