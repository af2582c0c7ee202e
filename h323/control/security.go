package control

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"bridgehead/h323/h235"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

var (
	errNoSecret  = errors.New("it is encrypted, and no keys were agreed")
	errNoKey     = errors.New("it is encrypted, and the master gives no key")
	errAlgorithm = errors.New("it is encrypted by an algorithm that was not agreed")
	errKey       = errors.New("its media key is malformed")
	errNotMaster = errors.New("the peer gives a media key, but is not master")
)

// staticType is the payload type of encrypted media whose codec has a static
// one: a packet in clear is never taken for it (H.235.6 8.3.2).
const staticType = 120

// updateLimit is the least time between key updates that a peer asks for.
const updateLimit = time.Second

// Format writes the algorithm alone, whatever the verb: keys do not get into
// logs.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, string(k.Algorithm)) }

// MarshalText gives the algorithm alone.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.Algorithm), nil }

// Format writes the algorithms alone.
func (e Encryption) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.Algorithms) }

// MarshalText gives the algorithms alone.
func (e Encryption) MarshalText() ([]byte, error) { return fmt.Append(nil, e.Algorithms), nil }

// secure reports whether there are keys for encryption.
func (m *Machine) secure() bool {
	return m.enc != nil && len(m.enc.Algorithms) > 0 && len(m.enc.Secret) >= 32
}

// makesKeys reports whether that is for us to do: for the master, and for the
// called side as long as there are no roles (fast connect).
func (m *Machine) makesKeys() bool {
	if m.msd.status == indeterminate {
		return m.msd.state == msdIncoming && m.msd.next == master
	}
	return m.msd.status == master
}

func encryptedType(pt uint8) uint8 {
	if pt >= 96 {
		return pt
	}
	return staticType
}

func (m *Machine) newKey(algorithm per.OID) (*Key, error) {
	k := &Key{Algorithm: algorithm, Bytes: make([]byte, h235.KeyLen(algorithm))}
	if len(k.Bytes) == 0 {
		return nil, errAlgorithm
	}
	_, err := io.ReadFull(m.opt.Rand, k.Bytes)
	return k, err
}

// sync wraps a media key for the peer, to be used from the payload type on.
func (m *Machine) sync(k *Key, pt uint8) (*h245.EncryptionSync, error) {
	wrapped, err := h235.WrapKey(k.Bytes, h235.SessionKey(m.enc.Secret, len(k.Bytes)))
	if err != nil {
		return nil, err
	}
	b, err := per.Encode(&h235.H235Key{SecureSharedSecret: &h235.V3KeySyncMaterial{
		AlgorithmOID: new(k.Algorithm), EncryptedSessionKey: wrapped}})
	if err != nil {
		return nil, err
	}
	return &h245.EncryptionSync{SynchFlag: int(pt), H235Key: b}, nil
}

// unsync unwraps a media key that the peer has made, for one of the algorithms.
func (m *Machine) unsync(s *h245.EncryptionSync, allowed []per.OID) (*Key, error) {
	if !m.secure() {
		return nil, errNoSecret
	}
	var k h235.H235Key
	if _, err := per.Decode(s.H235Key, &k); err != nil || k.SecureSharedSecret == nil || s.SynchFlag > 127 {
		return nil, errKey
	}
	v := k.SecureSharedSecret
	algorithm, ok := m.algorithm(allowed)
	if v.AlgorithmOID != nil {
		algorithm, ok = *v.AlgorithmOID, slices.Contains(allowed, *v.AlgorithmOID) && slices.Contains(m.enc.Algorithms, *v.AlgorithmOID)
	}
	if !ok {
		return nil, errAlgorithm
	}
	n := h235.KeyLen(algorithm)
	if n == 0 || len(v.EncryptedSessionKey) != n {
		return nil, errKey
	}
	media, err := h235.UnwrapKey(v.EncryptedSessionKey, h235.SessionKey(m.enc.Secret, n))
	if err != nil || !slices.ContainsFunc(media, func(b byte) bool { return b != 0 }) {
		return nil, errKey
	}
	return &Key{Algorithm: algorithm, Bytes: media}, nil
}

// keyOf settles the key of a channel that the peer opens encrypted: it comes
// with the channel from a master, and is made by us for a slave's.
func (m *Machine) keyOf(l *lcse, s *h245.EncryptionSync) error {
	algorithm, ok := m.algorithm(l.medium.algorithms)
	if !ok {
		return errAlgorithm
	}
	var err error
	switch {
	case s == nil && !m.makesKeys():
		return errNoKey
	case s == nil:
		l.ch.Key, err = m.newKey(algorithm)
	case m.msd.status == master:
		return errNotMaster
	default:
		if l.ch.Key, err = m.unsync(s, l.medium.algorithms); err == nil {
			l.ch.Codec.PayloadType = uint8(s.SynchFlag)
		}
	}
	return err
}

// Rekey gives a channel a new media key (H.235.6 8.6); the slave asks the
// master to. The call sees the channel closed and opened with the new key.
func (m *Machine) Rekey(ch *Channel) {
	l := m.find(ch)
	if m.ended || l == nil || l.ch.Key == nil || l.state != established || !m.secure() {
		return
	}
	switch m.msd.status {
	case master:
		m.renew(l, true)
		return
	case indeterminate: // fast connect alone: no channel to tell it over
		return
	}
	m.order(h245.CommandMessage{MiscellaneousCommand: &h245.MiscellaneousCommand{LogicalChannelNumber: l.number(),
		Type: h245.MiscellaneousCommandType{EncryptionUpdateRequest: &h245.EncryptionUpdateRequest{
			KeyProtectionMethod: &h245.KeyProtectionMethod{SharedSecret: true}, SynchFlag: new(int(l.ch.Codec.PayloadType))}},
		Direction: m.direction(l)}})
}

// direction of a channel's media, between master and slave.
func (m *Machine) direction(l *lcse) *h245.EncryptionUpdateDirection {
	if l.ch.Out == (m.msd.status == master) {
		return &h245.EncryptionUpdateDirection{MasterToSlave: new(per.Null)}
	}
	return &h245.EncryptionUpdateDirection{SlaveToMaster: new(per.Null)}
}

// nextType is the payload type that tells the new key from the old.
func nextType(pt uint8) uint8 {
	switch pt = pt + 1; {
	case pt > 127 || pt < 96:
		return 96
	case pt == EventsPayloadType:
		return pt + 1
	}
	return pt
}

// renew makes a new key as master. With acknowledgement it is used once the
// slave has it; a peer that knows only the older encryptionUpdate gets that.
func (m *Machine) renew(l *lcse, acknowledged bool) {
	if l.rekey != nil || l.limit != nil {
		return
	}
	key, err := m.newKey(l.ch.Key.Algorithm)
	if err != nil {
		m.note("H.235.6: no new key: %v", err)
		return
	}
	pt := nextType(l.ch.Codec.PayloadType)
	sync, err := m.sync(key, pt)
	if err != nil {
		m.note("H.235.6: no new key: %v", err)
		return
	}
	c := &h245.MiscellaneousCommand{LogicalChannelNumber: l.number()}
	if !acknowledged {
		c.Type.EncryptionUpdate = sync
	} else {
		c.Type.EncryptionUpdateCommand = &h245.MiscellaneousCommandTypeEncryptionUpdateCommand{EncryptionSync: *sync}
		c.Direction = m.direction(l)
	}
	m.order(h245.CommandMessage{MiscellaneousCommand: c})
	if acknowledged {
		l.rekey, l.rekeyPT = key, pt
		l.limit = m.after(t103, func() {
			l.limit = nil
			if l.rekey != nil && !m.ended {
				l.rekey = nil
				m.note("H.235.6: the peer does not take the new key of channel %d", l.number())
			}
		})
		return
	}
	l.limit = m.after(updateLimit, func() { l.limit = nil })
	m.reopen(l, key, pt)
}

// reopen gives a channel that is open another key.
func (m *Machine) reopen(l *lcse, key *Key, pt uint8) {
	ch := *l.ch
	ch.Key, ch.Codec.PayloadType = key, pt
	if !l.opened { // content that is not shown
		l.ch = &ch
		return
	}
	l.opened = false
	m.call.Closed(l.ch)
	if m.ended || l.state != established { // by the call
		return
	}
	l.ch = &ch
	l.establish(m)
}

// secured finds the encrypted channel of a key update. Without a direction it
// is the one that the master sends.
func (m *Machine) secured(c *h245.MiscellaneousCommand) *lcse {
	first, second := m.in, m.out
	isMaster := m.msd.status == master
	if isMaster {
		first, second = second, first
	}
	if c.Direction != nil {
		if c.Direction.SlaveToMaster != nil {
			first = second
		}
		second = nil
	}
	for _, list := range []map[int]*lcse{first, second} {
		if l := list[c.LogicalChannelNumber]; l != nil && l.state == established && l.ch.Key != nil {
			return l
		}
	}
	return nil
}

// updateReceived is the slave's side of a key update.
func (m *Machine) updateReceived(c *h245.MiscellaneousCommand, s *h245.EncryptionSync) {
	l := m.secured(c)
	if l == nil {
		return
	}
	if m.msd.status == master {
		m.note("H.235.6: a new key is refused: %v", errNotMaster)
		return
	}
	key, err := m.unsync(s, []per.OID{l.ch.Key.Algorithm})
	if err != nil || s.SynchFlag == int(l.ch.Codec.PayloadType) {
		m.note("H.235.6: the new key of channel %d is refused: %v", l.number(), errKey)
		return
	}
	if c.Type.EncryptionUpdateCommand != nil {
		m.order(h245.CommandMessage{MiscellaneousCommand: &h245.MiscellaneousCommand{LogicalChannelNumber: l.number(),
			Type:      h245.MiscellaneousCommandType{EncryptionUpdateAck: &h245.MiscellaneousCommandTypeEncryptionUpdateAck{SynchFlag: s.SynchFlag}},
			Direction: c.Direction}})
	}
	m.reopen(l, key, uint8(s.SynchFlag))
}

// updateAcknowledged: the slave has the new key.
func (m *Machine) updateAcknowledged(c *h245.MiscellaneousCommand) {
	l := m.secured(c)
	if l == nil || l.rekey == nil || c.Type.EncryptionUpdateAck.SynchFlag != int(l.rekeyPT) {
		return
	}
	key := l.rekey
	l.rekey = nil
	if l.limit != nil {
		l.limit()
	}
	l.limit = m.after(updateLimit, func() { l.limit = nil })
	m.reopen(l, key, l.rekeyPT)
}

// updateRequested: the slave asks for a new key.
func (m *Machine) updateRequested(c *h245.MiscellaneousCommand) {
	if l := m.secured(c); l != nil && m.msd.status == master {
		m.renew(l, c.Direction != nil)
	}
}
