//go:build !linux

package probe

func (p *probing) nodes() error { return nil }
