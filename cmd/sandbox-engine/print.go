package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// table prints rows under a heading, columns aligned.
func (a *app) table(head []string, rows [][]string) {
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	w.Flush()
}

func (a *app) printPlan(s *spec.Spec) {
	a.printf("user %d:%d inside, host name %s\n", s.IDs.UID, s.IDs.GID, s.Hostname)
	if o := s.IDs.Owner; o != nil {
		a.printf("also mapped to itself: %d:%d, the owner of the project\n", o.UID, o.GID)
	}
	ns := make([]string, len(s.Unshare))
	for i, n := range s.Unshare {
		ns[i] = string(n)
	}
	a.printf("own namespaces: %s\nsystem call filters: %s\n\nlayers, bottom first\n", strings.Join(ns, " "), strings.Join(s.Seccomp, " "))
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	for _, l := range s.Root.Lowers {
		fmt.Fprintf(w, "  %s\t%s\n", l.Path, l.Why)
	}
	w.Flush()
	a.printf("  %s  writable\n\noperations, in order\n", s.Root.Upper)
	for i, op := range s.Ops {
		if placeholder(s.Ops, i) {
			continue
		}
		from := op.Source
		if from != "" {
			from += " → "
		}
		flags := strings.Join(op.Flags, ",")
		if op.Data != "" {
			flags = strings.Trim(flags+","+op.Data, ",")
		}
		fmt.Fprintf(w, "  %s\t%s%s\t%s\t%s\n", op.Kind, from, op.Target, flags, op.Why)
	}
	w.Flush()
	a.printf("\nin %s run %s\n", s.Process.Dir, strings.Join(s.Process.Args, " "))
	for _, e := range s.Process.Env {
		a.printf("  %s\n", e)
	}
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

func short(digest string) string {
	_, hex, ok := strings.Cut(digest, ":")
	if !ok {
		hex = digest
	}
	if len(hex) > 12 {
		hex = hex[:12]
	}
	return hex
}

// placeholder tells whether an operation only makes what the next one mounts onto.
func placeholder(ops []spec.Op, i int) bool {
	op := ops[i]
	if op.Kind != spec.Dir && (op.Kind != spec.File || op.Content != "") || i+1 == len(ops) {
		return false
	}
	next := ops[i+1]
	return next.Target == op.Target && (next.Kind == spec.Bind || next.Kind == spec.Tmpfs || next.Kind == spec.Devpts || next.Kind == spec.Mqueue)
}
