"""Whether a text can hold a secret at all: nine lines of ten cannot, which is quick to see.

Each hint begins with a letter that is rare in logs and looks back from there: so most places of a
text are passed over at once, four times as quickly as with the words as they are. A hint is no
finding; whatever a rule knows has to have one here, which a test asks for.
"""

import re

HINTS = r"""
    w(?: (?<=passw) | (?<=&pw)d | (?<=\?pw)d | (?<=-pw) )
  | k(?: (?<=psk) | ey(?<=[_-]key) | ey(?<=[ehinst]key) | ey(?<=[?&;]key)= | ie(?<=cookie)
      | en(?: (?<=[a-z][_-]token) | (?<=[dshrynfti]token) | (?<=[?&;]token)=
          | (?<=[\ ]token)[:\ ] ) )
  | \$ | /(?<=[:\\]/)\\?/[^\s]{1,200}@
  | b(?: earer | asic[\ \t%+] | (?<=-----b)egin )
  | v(?: (?<=ev)cc[_-]?id | (?<![a-z]v)in[^a-z0-9\n]{0,12}[:=] )
  | j(?<=eyj)
  | g(?: (?<=idtag) | (?<=id[_-]tag) | (?<=[?&;-]sig) )
  | x(?: (?<=[?&;]x)- | -a(?:pi|uth) )
  | c(?: (?<=sec)ret | redential | ontract[_-]?id | (?<=passc)ode | (?<=[?&;]c)ode=
      | (?<=mac)(?: [_-]?addr | [^a-z0-9\n]{0,12}[:=] | [^a-z0-9\n]{1,4}\[[0-9;]*m[:=] ) )
  | h(?: (?<=passph)rase | (?<=[?&;]auth)= )
  | p(?: (?<=simp)in | (?<=sim_p)in | (?<=_p)ass(?![a-z]) | (?<=[?&;]p)ass )
  | d(?: (?<=emaid) | (?<=e_maid) )
  | z(?<=authoriz)ation[^a-z0-9]{0,8}[:=]
  | u(?<=-u)(?:ser)?[\ \t=]{1,4}\S{1,100}:
  | q(?<=mosq)uitto_
"""
TEXT = re.compile(HINTS, re.VERBOSE | re.ASCII)
"""For texts in small letters."""
