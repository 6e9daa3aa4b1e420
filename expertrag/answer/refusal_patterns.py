"""How refusals begin in languages other than English.

A refusal is about the passages ("Die Dokumente enthalten keine Angaben dazu") or begins as few
answers do ("Nicht angegeben", "Je ne sais pas").
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Refusals:
    """Parts of the refusals of a language, as patterns.

    ``first``: words before the noun. ``texts``: nouns for passages. ``negation``: what follows the
    noun. ``verbs``: one of them is in the sentence. ``others``: refusals without these parts.
    """

    first: str
    texts: str
    negation: str
    verbs: str
    others: str

    @property
    def pattern(self) -> str:
        """The pattern of all refusals of the language."""
        about = (
            rf"(?=[^.!?]*(?:{self.verbs}))(?:(?:{self.first})[^.!?]{{0,60}}?\b)?(?:{self.texts})\b"
            rf"[^.!?]{{0,60}}?(?:{self.negation})"
        )
        return f"{about}|(?:{self.others})"


_LATIN_AND_CYRILLIC = (
    _Refusals(  # German
        r"(?:die|der|das|den|dem|diese[rsnm]?|in|im|aus|anhand) ",
        r"passagen?|dokumente?n?|text\w*|auszüge?n?|abschnitte?n?|quellen?|kontext|informationen",
        r"\b(?:nicht|nichts|keine?n?)\b",
        r"enth|erwähn|nenn|genannt|gib|geben|liefer|beantwort|sag|steh|find|gefunden|hervor",
        r"(?:es (?:gibt|liegen|sind) )?(?:hierzu |dazu )?keine (?:\w+ )?"
        r"(?:informationen|angaben?|antwort|hinweise?)\b"
        r"|(?:(?:das|dies|es) (?:wird|ist) )?nicht (?:\w+ )?"
        r"(?:genannt|erwähnt|angegeben|bekannt|enthalten|verfügbar|aufgeführt)\b"
        r"|leider (?:kann|konnte|enth|gibt|liegen|finde|wird|ist|sind)|(?:es )?tut mir leid\b"
        r"|ich (?:weiß|kann) (?:(?:es|das|diese frage|die frage) )?nicht\b|unbekannt\W*$",
    ),
    _Refusals(  # French
        r"(?:les?|la|ces?|cette|dans|selon) |d['\u2019]après ",
        r"passages?|documents?|textes?|extraits?|sources?|contexte|informations?",
        r"\bne |\bn['\u2019]",
        r"mention|contien|précis|spécifi|indiqu|fourni|donne|répon|permet|trouv",
        r"(?:il n['\u2019]y a (?:pas|aucune?)|aucune?) "
        r"(?:d['\u2019])?(?:information|mention|réponse|donnée)"
        r"|(?:ce n['\u2019]est pas|non) (?:mentionn|précis|spécifi|indiqu)é"
        r"|(?:je suis )?désolée?\b|malheureusement\b|je ne (?:sais|peux|trouve)\b|inconnue?\W*$",
    ),
    _Refusals(  # Spanish
        r"(?:el|los?|las?|este|estos|en|según) ",
        r"pasajes?|documentos?|textos?|fragmentos?|fuentes?|contexto|información",
        r"\bno ",
        r"mencion|contien|especific|indic|proporcion|encuentr|respond|dice|incluy|da[n]?\b",
        r"no (?:se )?(?:menciona|especifica|indica|proporciona|encuentra|dispone)"
        r"|(?:no hay|ninguna) (?:\w+ )?(?:información|mención|respuesta|datos?)"
        r"|lo siento\b|lamentablemente\b|no (?:lo )?sé\b|desconocid[oa]\W*$",
    ),
    _Refusals(  # Italian
        r"(?:il|lo|la|i|gli|le|nel|nei|nelle|questi?) ",
        r"passagg[io]+|document[io]|test[io]|estratt[io]|font[ei]|contesto|informazioni",
        r"\bnon ",
        r"menzion|conten|specific|indic|fornisc|forniscono|riport|rispond|dic|trov",
        r"non (?:è|viene|sono) (?:\w+mente )?(?:menzionat|specificat|indicat|fornit|riportat)"
        r"|(?:non ci sono|nessuna) (?:\w+ )?(?:informazion[ei]|risposta|menzione)"
        r"|mi dispiace\b|purtroppo\b|non lo so\b|sconosciut[oa]\W*$",
    ),
    _Refusals(  # Portuguese
        r"(?:os?|as?|nos?|nas?|estes?) ",
        r"passagens|passagem|trechos?|documentos?|textos?|fontes?|contexto|informações",
        r"\bnão ",
        r"mencion|cont[ée]|especific|indic|fornec|inform|respond|diz|inclu|encontr",
        r"não (?:é|está|foi|são) (?:\w+mente )?"
        r"(?:mencionad|especificad|indicad|fornecid|informad)"
        r"|(?:não há|nenhuma) (?:\w+ )?(?:informaç|resposta|menção)"
        r"|(?:desculpe|lamento|infelizmente)\b|não (?:o )?sei\b|desconhecid[oa]\W*$",
    ),
    _Refusals(  # Dutch
        r"(?:de|het|deze|in|uit) ",
        r"passages?|documenten|document|teksten?|fragmenten|bronnen|context|informatie",
        r"\b(?:niet|niets|geen)\b",
        r"vermeld|bevat|noem|genoemd|geven|geeft|zegt|staat|vind|gevonden|antwoord",
        r"(?:er (?:is|zijn|wordt|staat) )?geen (?:\w+ )?"
        r"(?:informatie|antwoord|gegevens|vermelding)"
        r"|niet (?:\w+ )?(?:vermeld|genoemd|bekend|aangegeven|beschikbaar)\b"
        r"|helaas\b|het spijt me\b|ik weet het niet\b|onbekend\W*$",
    ),
    _Refusals(  # Russian
        r"(?:в|из|во|эти|данные|предоставленные) ",
        r"документ\w*|текст\w*|отрывк\w*|фрагмент\w*|контекст\w*|источник\w*|информаци\w*",
        r"\b(?:не|нет|отсутству\w+)\b",
        r"содерж|упомин|указ|говор|информаци|ответ|данных|отсутству",
        r"(?:нет|информация) (?:[^.!?]{0,40} )?"
        r"(?:информации|ответа|данных|отсутствует|не указана)"
        r"|не (?:указан|упомина|упомянут|известн|найден)"
        r"|к сожалению\b|извините\b|(?:я )?не (?:знаю|могу)\b|неизвестно\W*$",
    ),
)
_EAST_ASIAN = (
    # Chinese
    r"[^。！？.!?]{0,30}(?:文|段落|资料|資料|信息|资讯|資訊|内容|內容|来源|來源)[^。！？.!?]{0,20}"
    r"(?:没有|沒有|未|不包含|不含|无法|無法)"
    r"|(?:没有|沒有|未)(?:明确|明確|直接)?"
    r"(?:提及|提到|提供|说明|說明|指出|给出|給出|相关|相關|足够|足夠|答案)"
    r"|(?:很|非常)?(?:抱歉|对不起|對不起)|我?(?:无法|無法|不知道)|(?:未知|不详|不詳|不明)\W*$",
    # Japanese
    r"[^。！？]{0,40}(?:文書|文章|パッセージ|テキスト|資料|情報|本文|記載|言及|答え)[^。！？]{0,40}"
    r"(?:ありません|いません|見つかりません|できません)"
    r"|申し訳|(?:わかりません|分かりません|不明)\W*$",
    # Korean
    r"[^.!?]{0,40}(?:문서|본문|지문|텍스트|자료|정보|내용|답변?)[^.!?]{0,40}"
    r"(?:없습니다|않습니다|없다|않는다|없음)|죄송|(?:알 수 없|모릅니다|모르겠)",
)

REFUSAL = re.compile(
    rf"\W*(?:{'|'.join([*(each.pattern for each in _LATIN_AND_CYRILLIC), *_EAST_ASIAN])})", re.I
)
"""Matches the beginning of a refusal."""


FIRST_WORDS = frozenset(
    word
    for words in (
        "die der das den dem diese dieser dieses diesem diesen im aus anhand es hierzu dazu",
        "keine nicht dies leider tut ich unbekannt passagen dokumente texte informationen",
        "les le la ces ce cette dans selon il aucun aucune non je désolé désolée malheureusement",
        "inconnu inconnue d'après d\u2019après",
        "el los lo las este estos en según no ninguna lamentablemente desconocido desconocida",
        "i gli nel nei nelle questo questi nessuna mi purtroppo sconosciuto sconosciuta",
        "os nos no nas na este estes não nenhuma desculpe lamento infelizmente",
        "desconhecido desconhecida",
        "de het deze uit er geen niet helaas ik onbekend",
        "в во из эти данные предоставленные документы документ тексты текст отрывки фрагменты",
        "нет информация не к извините я неизвестно",
    )
    for word in words.split()
).union(f"in {word}" for word in ["den", "dem", "der", "diesen", "diesem", "het", "de", "deze"])
"""First words of refusals, in languages with spaces; two, where English answers begin as well."""
