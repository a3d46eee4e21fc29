package ldcache

import "sort"

// Write gives the bytes of a cache with these entries, in the order of [Sort]; equal entries keep the
// order that they are given in. Entries of the old form get the new one. The bytes depend on the entries
// alone.
func Write(entries []Entry) []byte {
	sorted := append([]Entry(nil), entries...)
	Sort(sorted)
	folders, index := foldersOf(sorted)
	w := writer{at: map[string]uint32{}}
	w.base = uint32(newHeader + newEntry*len(sorted))
	out := make([]byte, 0, int(w.base)+64*len(sorted))
	out = append(out, newMagic...)
	out = le.AppendUint32(out, uint32(len(sorted)))
	out = append(out, make([]byte, newHeader-len(out))...)
	out[28] = 2 // little-endian
	for _, e := range sorted {
		hwcap := e.HWCap
		if e.Sub != "" {
			hwcap = (extension|hwcap>>32&isaLevels)<<32 | uint64(index[e.Sub])
		}
		out = le.AppendUint32(out, uint32(e.Flags))
		out = le.AppendUint32(out, w.put(e.Name))
		out = le.AppendUint32(out, w.put(e.Path))
		out = le.AppendUint32(out, e.OSVersion)
		out = le.AppendUint64(out, hwcap)
	}
	var names []uint32
	for _, f := range folders {
		names = append(names, w.put(f))
	}
	le.PutUint32(out[24:], uint32(len(w.text)))
	out = append(out, w.text...)
	for len(out)%4 != 0 {
		out = append(out, 0)
	}
	le.PutUint32(out[32:], uint32(len(out)))
	return appendExtension(out, names)
}

// appendExtension adds the part that glibc has since 2.33: who wrote the cache, and the folders that
// hwcap refers to. Older ones do not look there.
func appendExtension(out []byte, folders []uint32) []byte {
	sections := 1
	if len(folders) > 0 {
		sections = 2
	}
	out = le.AppendUint32(out, extMagic)
	out = le.AppendUint32(out, uint32(sections))
	data := uint32(len(out) + sections*sectionSize)
	section := func(tag, off uint32, size int) {
		for _, v := range []uint32{tag, 0, off, uint32(size)} {
			out = le.AppendUint32(out, v)
		}
	}
	section(tagName, data+uint32(4*len(folders)), len(generator))
	if len(folders) > 0 {
		section(tagHWCaps, data, 4*len(folders))
	}
	for _, f := range folders {
		out = le.AppendUint32(out, f)
	}
	return append(out, generator...)
}

// foldersOf are the names of glibc-hwcaps folders in use, sorted, and their places.
func foldersOf(entries []Entry) ([]string, map[string]int) {
	index := map[string]int{}
	var names []string
	for _, e := range entries {
		if _, ok := index[e.Sub]; !ok && e.Sub != "" {
			index[e.Sub] = 0
			names = append(names, e.Sub)
		}
	}
	sort.Strings(names)
	for i, n := range names {
		index[n] = i
	}
	return names, index
}

// writer collects strings; each is written once.
type writer struct {
	base uint32
	text []byte
	at   map[string]uint32
}

func (w *writer) put(s string) uint32 {
	if off, ok := w.at[s]; ok {
		return off
	}
	off := w.base + uint32(len(w.text))
	w.at[s] = off
	w.text = append(append(w.text, s...), 0)
	return off
}
