package gpu

import (
	"fmt"
	"strings"
	"time"
)

// SyntaxError is a selection on the command line that cannot be read, or two that contradict each other.
type SyntaxError struct {
	Problem string
	Help    string // what was probably meant
}

func (e *SyntaxError) Error() string { return e.Problem }

// Hint implements hint.Hinter.
func (e *SyntaxError) Hint() string { return e.Help }

// UnknownError is a name that no GPU of this machine has.
type UnknownError struct {
	ID   string
	Have []string // UUIDs of GPUs and slices
}

func (e *UnknownError) Error() string {
	if len(e.Have) == 0 {
		return "no GPU on this machine: " + shown(e.ID)
	}
	return "no such GPU: " + shown(e.ID)
}

// Hint lists what there is.
func (e *UnknownError) Hint() string {
	if len(e.Have) == 0 {
		return ""
	}
	return "this machine has " + few(e.Have, 8, ", ") + "; `sandbox gpu list` shows them"
}

// AmbiguousError is the beginning of more than one UUID.
type AmbiguousError struct {
	ID    string
	Means []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%d GPUs begin with %s", len(e.Means), shown(e.ID))
}

// Hint lists them.
func (e *AmbiguousError) Hint() string { return "one of " + few(e.Means, 8, ", ") }

// NoMatchError is a request that this machine cannot meet, now or later.
type NoMatchError struct {
	Want    Request
	Have    Inventory
	Reasons []Reason // one for each GPU
	Need    int      // how many are wanted
	Fit     int      // how many would do, in use or not
	Rule    string   // what those that would do lack together: "no NUMA node has as many"
}

func (e *NoMatchError) Error() string {
	var b strings.Builder
	b.WriteString(wanted(e.Want) + ": ")
	all := len(e.Have.Devices)
	switch {
	case all == 0:
		b.WriteString("no GPU on this machine")
		return b.String()
	case e.Rule != "":
		b.WriteString(e.Rule)
		return b.String()
	case e.Fit > 0:
		fmt.Fprintf(&b, "%s wanted, %d fit", some(e.Need, "GPU"), e.Fit)
	case all == 1:
		b.WriteString("the GPU of this machine does not fit")
	default:
		fmt.Fprintf(&b, "none of the %d GPUs fits", all)
	}
	if why := reasonsOf(e.Reasons, Unfit); why != "" {
		b.WriteString(": " + why)
	}
	return b.String()
}

// Hint says where to look, and what to type where a word of the request is at fault.
func (e *NoMatchError) Hint() string {
	for _, d := range e.Have.Devices {
		if d.MIGMode && len(d.MIG) > 0 && e.Want.MIG == "" && e.Fit < e.Need {
			return "a slice is asked for by profile: --gpus 1,mig=" + d.MIG[0].Profile
		}
	}
	if len(e.Have.Devices) == 0 {
		return "`sandbox gpu check` says what is missing; --gpus none runs without"
	}
	return "`sandbox gpu list` shows what there is, `sandbox gpu why` why each was left"
}

// HeldError is a request that this machine could meet if nobody else used its GPUs.
type HeldError struct {
	Want    Request
	Need    int
	Free    int      // how many fit and are free
	By      []string // who uses the others: "python (pid 4242, user ann)"
	Reasons []Reason
	Waited  time.Duration // how long it was waited for
}

func (e *HeldError) Error() string {
	var b strings.Builder
	b.WriteString(wanted(e.Want) + ": ")
	busy := 0
	for _, r := range e.Reasons {
		if r.State == Busy {
			busy++
		}
	}
	switch {
	case e.Free > 0:
		fmt.Fprintf(&b, "%s wanted, %d free", some(e.Need, "GPU"), e.Free)
	case busy == 1:
		b.WriteString("the GPU that fits is in use")
	default:
		fmt.Fprintf(&b, "all %d GPUs that fit are in use", busy)
	}
	if e.Waited > 0 {
		b.WriteString(" after " + formatWait(e.Waited.Round(time.Second)) + " of waiting")
	}
	if why := reasonsOf(e.Reasons, Busy); why != "" {
		b.WriteString(": " + why)
	}
	return b.String()
}

// Hint offers to wait and to share.
func (e *HeldError) Hint() string {
	wait, share := e.Want, e.Want
	wait.Wait, share.Share, share.Alone = 10*time.Minute, true, false
	if e.Want.Wait > 0 {
		wait.Wait = 4 * e.Want.Wait
	}
	out := "--gpus " + wait.String() + " waits for it"
	if !e.Want.Share {
		out += "; --gpus " + share.String() + " uses it together with the others"
	}
	return out
}

// wanted is the request and where it comes from.
func wanted(r Request) string {
	if r.Source == "" || r.Source == "--gpus" {
		return "--gpus " + r.String()
	}
	return r.Source + " (" + r.String() + ")"
}

// some is "2 GPUs".
func some(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// reasonsOf puts reasons of one kind on a line.
func reasonsOf(all []Reason, kind State) string {
	var out []string
	for _, r := range all {
		if r.State == kind {
			out = append(out, r.Label()+" "+r.Why)
		}
	}
	return few(out, 4, "; ")
}

// few joins a list that may be long.
func few(list []string, most int, sep string) string {
	if len(list) <= most {
		return strings.Join(list, sep)
	}
	return strings.Join(list[:most], sep) + sep + fmt.Sprintf("and %d more", len(list)-most)
}
