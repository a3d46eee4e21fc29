package gpu

import (
	"slices"
	"strconv"
	"strings"
)

// FromImage is what an image's environment asks for: NVIDIA_VISIBLE_DEVICES and
// NVIDIA_DRIVER_CAPABILITIES as NVIDIA's runtime reads them (void, or nothing, is no request; names that
// nobody knows are left out). It reports whether there is anything.
//
// It is for [Request.Within]: an image alone gets no GPU, since nearly every CUDA image says "all".
func FromImage(env []string) (Request, bool) {
	vars := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		vars[name] = value
	}
	r := Request{Source: "NVIDIA_VISIBLE_DEVICES of the image", Optional: true}
	switch devices := strings.TrimSpace(vars["NVIDIA_VISIBLE_DEVICES"]); devices {
	case "", "void":
	case "none":
		r.None = true // the driver without a GPU
	case "all":
		r.All = true
	default:
		for name := range strings.SplitSeq(devices, ",") {
			id, ok := parseID(strings.TrimSpace(name))
			if n, err := strconv.ParseUint(strings.TrimSpace(name), 10, 16); err == nil {
				id, ok = "index="+strconv.FormatUint(n, 10), true
			}
			if ok && len(r.IDs) < maxIDs && !slices.Contains(r.IDs, id) {
				r.IDs = append(r.IDs, id)
			}
		}
	}
	if caps := vars["NVIDIA_DRIVER_CAPABILITIES"]; caps != "" {
		for c := range strings.SplitSeq(caps, ",") {
			r.Caps = append(r.Caps, Capability(strings.TrimSpace(c)))
		}
		r.Caps = r.Capabilities()
	}
	return r, r.None || r.Wants() || r.Caps != nil
}

// Within fills what the request leaves open from an image's defaults, and never widens it: which GPUs,
// and how many, is the user's word alone, as is a list of capabilities; only where the user says nothing
// of capabilities the image knows best which parts of the driver its programs use.
func (r Request) Within(image Request) Request {
	if r.Wants() && r.Caps == nil && len(image.Caps) > 0 {
		r.Caps = image.Capabilities()
	}
	return r
}
