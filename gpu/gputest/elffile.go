package gputest

import "bytes"

// file puts header, segments and sections together. There are two loaded segments: one to read and
// execute, and one to write for the dynamic section, which the linker of older glibc relocates in place.
func (w *writer) file() []byte {
	ehdr, phdr, shdr, symSize, wordSize := w.sizes()
	program := w.Says != ""
	phnum := 4 // two loads, dynamic, stack
	var interp *section
	if program {
		phnum += 2
		if w.Interp == "" {
			w.Interp = w.arch.interp
		}
		interp = w.add(&section{name: ".interp", typ: 1, flags: 2, align: 1, data: append([]byte(w.Interp), 0)})
	}
	base := len(w.sections) + 1 // of the tables: section 0 is empty
	symbols := w.symbols(0, 0)  // for their names and their size; the places come below
	dyn := w.names()
	need := w.versions()
	dynsym := w.add(&section{name: ".dynsym", typ: 11, flags: 2, link: base + 1, info: 1, entr: symSize, align: 8, data: symbols})
	dynstr := w.add(&section{name: ".dynstr", typ: 3, flags: 2, align: 1, data: w.strs})
	hash := w.add(&section{name: ".hash", typ: 5, flags: 2, link: base, entr: 4, align: 8, data: w.hash()})
	var versym, verneed *section
	if need != nil {
		versym = w.add(&section{name: ".gnu.version", typ: 0x6fffffff, flags: 2, link: base, entr: 2, align: 2, data: w.global()})
		verneed = w.add(&section{name: ".gnu.version_r", typ: 0x6ffffffe, flags: 2, link: base + 1, info: 1, align: 8, data: need})
	}
	text := w.add(&section{name: ".text", typ: 1, flags: 6, align: 16, data: w.text()})
	textIndex := len(w.sections)

	readEnd := w.place(ehdr + phnum*phdr)
	w.strs = []byte{0} // so that the names get the same places again
	dynsym.data = w.symbols(text.off, textIndex)

	at := (readEnd + w.page - 1) / w.page * w.page
	dyn = append(dyn, [2]int{dtHash, hash.off}, [2]int{dtStrtab, dynstr.off}, [2]int{dtSymtab, dynsym.off},
		[2]int{dtStrsz, len(dynstr.data)}, [2]int{dtSyment, symSize})
	if verneed != nil {
		dyn = append(dyn, [2]int{dtVersym, versym.off}, [2]int{dtVerneed, verneed.off}, [2]int{dtVerneednum, 1})
	}
	if program {
		dyn = append(dyn, [2]int{dtDebug, 0})
	}
	var b bytes.Buffer
	for _, d := range append(dyn, [2]int{0, 0}) {
		w.word(&b, d[0], d[1])
	}
	dynamic := w.add(&section{name: ".dynamic", typ: 6, flags: 3, link: base + 1, entr: 2 * wordSize, align: 8, data: b.Bytes(), off: at})
	return w.finish(w.head(text, interp, dynamic, phnum, readEnd), shdr)
}

// names are the entries of the dynamic section that name libraries.
func (w *writer) names() [][2]int {
	var dyn [][2]int
	needed := w.Needed
	if w.Glibc != "" {
		needed = append([]string{"libc.so.6"}, needed...)
	}
	for _, n := range needed {
		dyn = append(dyn, [2]int{dtNeeded, w.str(n)})
	}
	if w.SONAME != "" {
		dyn = append(dyn, [2]int{dtSoname, w.str(w.SONAME)})
	}
	return dyn
}

// global says of each symbol that it has no version.
func (w *writer) global() []byte {
	var b bytes.Buffer
	half(&b, 0)
	for range w.Exports {
		half(&b, 1)
	}
	return b.Bytes()
}

// head is the header and the table of segments. Everything lies in memory where it lies in the file.
func (w *writer) head(text, interp, dynamic *section, phnum, readEnd int) []byte {
	ehdr, phdr, _, _, _ := w.sizes()
	var b bytes.Buffer
	w.header(&b, text, interp != nil, phnum)
	if interp != nil {
		w.segment(&b, 6, 4, ehdr, phnum*phdr, 8)
		w.segment(&b, 3, 4, interp.off, len(interp.data), 1)
	}
	w.segment(&b, 1, 5, 0, readEnd, w.page)
	w.segment(&b, 1, 6, dynamic.off, len(dynamic.data), w.page)
	w.segment(&b, 2, 6, dynamic.off, len(dynamic.data), 8)
	w.segment(&b, 0x6474e551, 6, 0, 0, 16) // a stack that is not executable
	return b.Bytes()
}

// place gives every section its offset, from at on, and returns the end.
func (w *writer) place(at int) int {
	for _, s := range w.sections {
		at = (at + s.align - 1) / s.align * s.align
		s.off = at
		at += len(s.data)
	}
	return at
}

func (w *writer) header(b *bytes.Buffer, text *section, program bool, phnum int) {
	ehdr, phdr, shdr, _, _ := w.sizes()
	entry := 0
	if program {
		said := (len(w.Says) + 15) / 16 * 16
		entry = text.off + said
	}
	b.Write([]byte{0x7f, 'E', 'L', 'F', byte(w.Class / 32), 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	half(b, 3, int(w.machine))
	quad(b, 1)
	w.word(b, entry, ehdr, 0) // the section table's place comes last
	quad(b, 0)
	half(b, ehdr, phdr, phnum, shdr, len(w.sections)+2, len(w.sections)+1)
}

func (w *writer) segment(b *bytes.Buffer, typ, flags, off, size, align int) {
	quad(b, typ)
	if w.Class == 64 {
		quad(b, flags)
	}
	w.word(b, off, off, off, size, size)
	if w.Class == 32 {
		quad(b, flags)
	}
	w.word(b, align)
}

// finish writes the sections where they belong, then their names and their table.
func (w *writer) finish(head []byte, shdr int) []byte {
	names := []byte{0}
	last := w.sections[len(w.sections)-1]
	out := make([]byte, last.off+len(last.data))
	copy(out, head)
	var table bytes.Buffer
	table.Write(make([]byte, shdr))
	row := func(s *section) {
		quad(&table, len(names), s.typ)
		names = append(append(names, s.name...), 0)
		addr := s.off
		if s.flags&2 == 0 {
			addr = 0
		}
		w.word(&table, s.flags, addr, s.off, len(s.data))
		quad(&table, s.link, s.info)
		w.word(&table, s.align, s.entr)
	}
	for _, s := range w.sections {
		copy(out[s.off:], s.data)
		row(s)
	}
	shstr := &section{name: ".shstrtab", typ: 3, align: 1, off: len(out)}
	shstr.data = append(append(append([]byte{}, names...), shstr.name...), 0)
	row(shstr)
	out = append(out, shstr.data...)
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	var at bytes.Buffer
	w.word(&at, len(out))
	place := 40 // e_shoff
	if w.Class == 32 {
		place = 32
	}
	copy(out[place:], at.Bytes())
	return append(out, table.Bytes()...)
}
