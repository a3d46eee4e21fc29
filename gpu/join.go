package gpu

import (
	"fmt"
	"slices"
	"strings"
)

// String is the request as [Parse] reads it; a request for nothing is "none". Optional and Source are
// not part of it.
func (r Request) String() string {
	var t []string
	add := func(ok bool, term string) {
		if ok {
			t = append(t, term)
		}
	}
	add(r.None || !r.Wants(), "none")
	add(r.All, "all")
	add(r.Count > 0, fmt.Sprint(r.Count))
	for _, id := range r.IDs {
		add(true, shown(id))
	}
	add(r.MinFree > 0, "min-memory="+exactSize(r.MinFree))
	add(r.MinTotal > 0, "min-total="+exactSize(r.MinTotal))
	add(r.Name != "", "name="+shown(r.Name))
	if r.CC != "" {
		terms, err := parseCC(r.CC)
		add(err == nil, "cc"+formatCC(terms))
		add(err != nil, "cc="+shown(r.CC))
	}
	add(r.MIG != "", "mig="+shown(r.MIG))
	add(r.SameNUMA, "same-numa")
	add(r.Share, "share=yes")
	add(r.Alone && !r.Share, "share=no")
	add(r.Wait > 0, "wait="+formatWait(r.Wait))
	if r.Caps != nil {
		var caps []string
		for _, c := range r.Capabilities() {
			caps = append(caps, string(c))
		}
		add(len(caps) > 0, "caps="+strings.Join(caps, "+"))
	}
	return strings.Join(t, ",")
}

// Join is the set of both: what a repeated flag means. Counts add up, names are put together, and a
// condition of one holds for all; conditions that differ are a [*SyntaxError].
func (r Request) Join(other Request) (Request, error) {
	if r.isZero() || other.isZero() {
		if r.isZero() {
			return other, nil
		}
		return r, nil
	}
	fail := func(what string) (Request, error) {
		return Request{}, &SyntaxError{Problem: fmt.Sprintf("--gpus %s and --gpus %s: %s", r, other, what), Help: "one --gpus with all terms, with commas between them, says what is meant"}
	}
	out := r
	switch {
	case r.None != other.None:
		return fail("none and some")
	case (r.Count > 0 || other.Count > 0) && (len(r.IDs) > 0 || len(other.IDs) > 0) && !r.All && !other.All:
		return fail("a count and the names of GPUs")
	case r.All || other.All:
		out.All, out.Count, out.IDs = true, 0, nil
	default:
		out.Count += other.Count
		out.IDs = slices.Clone(r.IDs)
		for _, id := range other.IDs {
			if !slices.Contains(out.IDs, id) {
				out.IDs = append(out.IDs, id)
			}
		}
	}
	if out.Count > maxCount || len(out.IDs) > maxIDs {
		return fail("too many")
	}
	for _, differ := range []struct {
		key string
		yes bool
	}{
		{"min-memory", !merge(&out.MinFree, other.MinFree)}, {"min-total", !merge(&out.MinTotal, other.MinTotal)}, {"name", !merge(&out.Name, other.Name)},
		{"cc", !merge(&out.CC, other.CC)}, {"mig", !merge(&out.MIG, other.MIG)},
	} {
		if differ.yes {
			return fail("two values for " + differ.key)
		}
	}
	out.SameNUMA = r.SameNUMA || other.SameNUMA
	if out.Share, out.Alone = r.Share || other.Share, r.Alone || other.Alone; out.Share && out.Alone {
		return fail("shared and not")
	}
	out.Optional = r.Optional && other.Optional
	out.Wait = max(r.Wait, other.Wait)
	if other.Caps != nil {
		out.Caps = Request{Caps: slices.Concat(r.Caps, other.Caps)}.Capabilities()
	}
	if out.Source == "" {
		out.Source = other.Source
	}
	return out, nil
}

func (r Request) isZero() bool {
	r.Source = ""
	return !r.Wants() && !r.None && r.String() == "none"
}

// merge takes b where a says nothing, and tells whether they agree.
func merge[T comparable](a *T, b T) bool {
	var zero T
	if *a == zero {
		*a = b
	}
	return b == zero || *a == b
}
