// Package build resolves an env file into a lock, and a lock into layers in the store.
//
// Use [Builder.Lock] to pin what an env file asks for and [Builder.Build] to have every layer of a
// section of a lock; both reuse whatever the store has. What must run inside the environment while
// it is made (dpkg, apt, uv, image steps) runs in a [Box], which is an ordinary sandbox with one
// mapped id, also for root, so that everybody's layers come out with the same bytes.
package build
