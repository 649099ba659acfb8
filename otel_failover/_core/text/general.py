"""Clauses that everybody says, in the languages that providers and loops answer in, and what remains of a text without.

"Please try again later", "the service is overloaded", "contact the administrator": whoever says them, they tell nothing
of where a text came from. A frozen table: a sentence that binds wrongly is no reason to add it here, but a kind of
clause is. Pure, and imported with the first text that may bind.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from otel_failover._core.text.normal_form import is_spaceless

__all__ = ["has_words_of_its_own", "without_general_clauses"]

_LONGEST: Final = 512
"""Characters of a text that are looked at: more of it weighs enough."""
_STOPS: Final = str.maketrans(dict.fromkeys(".!?\"'…-–—|*_~", " "))

# --- languages with spaces between words: a blank stands for one or several -------------------------------------------

_THING: Final = (
    r"(?:(?:the|this|that|our|your|its|an?|requested|selected|upstream|remote|backend|ai|llm|api|chat|internal|external"
    r"|current|target|network|web|all) ){0,3}"
    r"(?:services?|servers?|system|models?|engine|apis?|providers?|endpoints?|gateway|backend|requests?|operation|calls?"
    r"|connection|response|site|website|platform|network|upstream|llm|assistant|it|we|they|resource|page|app)"
)
_ADVERB: Final = r"(?:(?:currently|temporarily|momentarily|now|still|too|very|again|already|at this time|at the moment|right now) ){0,2}"
_STATE: Final = (
    r"(?:busy|unavailable|not available|overloaded|at capacity|over capacity|down|offline|unreachable|not responding"
    r"|unresponsive|under maintenance|under heavy load|not working|interrupted|aborted|cancell?ed|closed|lost|refused"
    r"|experiencing (?:issues|problems|difficulties|technical difficulties|high load|heavy load|high traffic|an outage))"
)
_WHILE: Final = r"(?: (?:while|when|during) (?:processing|handling|completing) (?:the|your|this) request)?"
_ERROR: Final = r"(?:an? )?(?:(?:unexpected|unknown|internal|temporary|server|network|system) ){0,3}(?:errors?|problem|issue|failure)"

_WITH_SPACES: Final = (
    # English
    rf"{_THING} (?:(?:is|are|was|were|has been|have been|seems to be|appears to be|may be) )?{_ADVERB}{_STATE}",
    rf"{_THING} (?:(?:has|have|had) )?{_ADVERB}(?:failed|timed out|crashed|stopped|expired)",
    rf"{_THING} (?:took too long(?: to respond)?|did not respond(?: in time)?|could not be (?:completed|processed|reached))",
    rf"{_THING} (?:returned|encountered|had|reported) {_ERROR}{_WHILE}",
    rf"(?:{_ERROR}|something) (?:has )?(?:occurred|happened|went wrong){_WHILE}",
    r"(?:unable|failed) to (?:process|complete|handle|reach|connect to) (?:the|your|this) (?:request|server|service)",
    r"(?:please )?(?:try|retry)(?: (?:your|the) (?:request|operation))?(?: again)?"
    r"(?: (?:later|shortly|soon|in a (?:few )?(?:moments?|minutes?|seconds?|while|bit)|after (?:some time|a while)))?",
    r"(?:please )?(?:contact|reach out to|check with|notify) (?:(?:the|your|our|a|system|technical|customer|site|it) ){0,3}"
    r"(?:administrator|admin|support|support team|help(?: )?desk|service|operator|team)(?: (?:for (?:help|assistance|more"
    r" information|details)))?",
    r"(?:we (?:are|re) |we apologi[sz]e|i m )?(?:very )?sorry|(?:we )?apologi[sz]e|for (?:the|any) inconvenience",
    r"if the (?:problem|issue|error) (?:persists|continues)",
    r"please|sorry|currently|temporarily|at this time|at the moment|right now|later|again",
    # German
    r"(?:bitte )?(?:versuchen sie es |versuche es |probieren sie es )?(?:bitte )?(?:später|in kürze|in wenigen minuten)"
    r"(?: noch einmal| erneut| wieder)?(?: versuchen)?",
    r"(?:der|die|das) (?:dienst|server|system|service|modell|anfrage|verbindung) (?:ist|wurde|konnte) (?:derzeit |zurzeit "
    r"|momentan |vorübergehend ){0,2}(?:nicht verfügbar|nicht erreichbar|überlastet|ausgelastet|fehlgeschlagen"
    r"|abgebrochen|nicht (?:verarbeitet|bearbeitet) werden)",
    r"es ist ein (?:unerwarteter |unbekannter |interner ){0,2}fehler aufgetreten",
    r"(?:bitte )?(?:wenden sie sich an|kontaktieren sie) (?:den|ihren|unseren) (?:administrator|support|kundendienst)",
    # French
    r"(?:veuillez |merci de )?(?:réessayer|réessayez|essayer à nouveau)(?: plus tard| ultérieurement| dans quelques"
    r" (?:instants|minutes))?",
    r"(?:le|la|notre|ce) (?:service|serveur|système|modèle|requête|connexion) (?:est|a) (?:actuellement |temporairement "
    r"|momentanément ){0,2}(?:indisponible|surchargée?|occupée?|échoué|expiré)",
    r"une erreur (?:inattendue |interne |inconnue ){0,2}(?:est survenue|s est produite)",
    r"(?:veuillez )?(?:contacter|contactez) (?:l |votre |le |notre )(?:administrateur|support|service client)",
    # Spanish and Portuguese
    r"(?:por favor )?(?:inténtelo|inténtalo|intente|intenta|vuelva a intentarlo|tente|tente novamente)(?: de nuevo"
    r"| nuevamente| novamente)?(?: más tarde| mais tarde| en unos (?:minutos|instantes)| em alguns (?:minutos|instantes))?",
    r"(?:el|la|nuestro|o|a|nosso) (?:servicio|servidor|sistema|modelo|solicitud|conexión|serviço|solicitação|conexão)"
    r" (?:está|no está|ha|foi|não está) (?:actualmente |temporalmente |temporariamente |no momento ){0,2}(?:no disponible"
    r"|disponible|sobrecargad[oa]|ocupad[oa]|fallado|caducado|indisponível|disponível)(?: temporalmente)?",
    r"(?:se ha producido|ha ocurrido|se produjo|ocorreu|houve) (?:un|um) erro?r? (?:inesperado|interno|desconocido"
    r"|desconhecido)?",
    r"(?:póngase en contacto con|contacte con|contacte|entre em contato com) (?:el|su|al|o|seu) (?:administrador|soporte"
    r"|suporte)",
    # Italian and Russian
    r"(?:si prega di )?(?:riprovare|riprova|riprovi)(?: più tardi| tra qualche (?:minuto|istante))?",
    r"(?:il|la|l) (?:servizio|server|sistema|modello|richiesta) (?:è|non è) (?:al momento |attualmente |temporaneamente )"
    r"{0,2}(?:disponibile|sovraccarico|occupato|fallita|scaduta|non disponibile)",
    r"(?:пожалуйста )?(?:попробуйте|повторите попытку|повторите запрос)(?: ещё раз| еще раз| снова)?(?: позже| позднее"
    r"| через (?:несколько|пару) минут)?",
    r"(?:сервис|сервер|модель|система|служба)(?: сейчас| временно| в данный момент){0,2} (?:недоступен|недоступна"
    r"|перегружен|перегружена|занят|занята|не отвечает)",
    r"произошла (?:внутренняя |неизвестная |непредвиденная ){0,2}ошибка(?: сервера)?",
    r"(?:обратитесь|свяжитесь) (?:к|с|в) (?:администратору|администратором|поддержку|поддержкой|службу поддержки)",
)

# --- scripts without ---------------------------------------------------------------------------------------------------

_ZH_THING: Final = (
    r"(?:服务器|服务|服務|伺服器|系统|系統|大?模型|网络|網路|接口|请求|請求|调用|呼叫|操作|连接|連線|响应|会话|对话|程序|平台|网关"
    r"|上游|后端|後端|后台|供应商|任务|消息|节点|内部|內部|第三方|访问人数|远程)"
)
_ZH_HOW: Final = r"(?:当前|目前|现在|正在|已经|已|暂时|暫時|出现了?|發生|发生了?|遇到了?|较为|过于|過於|非常|十分|太|的?一些|未知|内部|了)"
_ZH_STATE: Final = (
    r"(?:繁忙|忙碌|不可用|无法使用|無法使用|过载|超载|过载|超时|逾時|失败|失敗|异常|異常|错误|錯誤|出错|故障|问题|維護|维护"
    r"|拥挤|拥堵|无响应|没有响应|中断|断开|不稳定|负载过高|频繁|頻繁|过多|過多|过大|开小差)[中了]{0,2}"
)
_JA_THING: Final = (
    r"(?:(?:現在|ただいま|只今)?(?:内部|通信|ネットワーク|システム|予期しない|不明な|モデルの|一時的な)?"
    r"(?:サーバー?|サービス|システム|モデル|リクエスト|ネットワーク|エラー|接続|処理|呼び出し|応答の?生成?|処理中|アクセス)[がはにをのも]?)"
)

_WITHOUT: Final = (
    # Chinese
    rf"(?:{_ZH_HOW}{{0,3}}{_ZH_THING}){{1,4}}{_ZH_HOW}{{0,4}}{_ZH_STATE}",
    rf"{_ZH_HOW}{{1,3}}{_ZH_STATE}",
    rf"(?:{_ZH_THING}|{_ZH_HOW}){{0,4}}(?:无法|無法|不能)(?:处理|處理|连接|連接|完成|响应|提供|使用)到?(?:您|你|该|此)?的?"
    rf"{_ZH_THING}{{0,2}}",
    r"[请請]?[您你]?(?:稍后|稍候|稍後|稍等|片刻后|过一会儿?|几分钟后|一段时间后|耐心等待|刷新页面后?)[再重]?新?(?:试|試|尝试|嘗試|发送"
    r"|操作|请求|提交)?[一]?[次下]?",
    r"[请請][您你]?(?:再次|重新|重)(?:试|試|尝试|嘗試|发送消息|发送|操作|请求|提交)|重[试試]",
    r"[请請]?(?:及时)?[或]?(?:联系|联络|聯絡|聯繫|咨询)(?:系统|系統)?(?:管理员|管理員|客服|技术支持|服务商|开发者)(?:处理)?",
    r"[请請](?:检查|檢查|确认)[您你]?的?(?:网络|網路)(?:连接|連線|设置|状态|配置)?",
    r"(?:很|非常)?抱歉|对不起|對不起|不好意思|给您带来的?不便|敬请谅解|请谅解",
    # Japanese
    r"(?:しばらく|少し|少々)?(?:して|経って|たって|時間をおいて|お待ちいただいて|待って)(?:から)?(?:再度|もう一度|後ほど|あとで)?"
    r"(?:再試行|お試し|試|やり直|実行)?(?:して|し)?(?:ください|下さい)?",
    r"(?:時間をおいて|後で|後ほど|数分後に|のちほど)?(?:再度|もう一度)?(?:再試行|お試し|やり直|試|実行)(?:して|し)?(?:ください|下さい)",
    rf"{_JA_THING}{{1,3}}(?:一時的に|現在|大変)?(?:混雑|混み合って|過負荷|過負荷状態|利用できません|ご利用いただけません|失敗|タイムアウト|発生"
    r"|処理できません|応答|ありません|できません|接続できません)(?:が|で|し|して|に)?(?:おります|います|ました|でした|ません|なりました|です)?",
    r"(?:システム)?(?:管理者|サポート|担当者)[にへまで]{1,2}(?:お問い合わせ|連絡|ご連絡)(?:して|し)?(?:ください|下さい)",
    r"(?:ネットワーク)?(?:の)?接続(?:状態)?を(?:ご)?確認(?:して|し)?(?:ください|下さい)",
    r"(?:大変)?(?:ご迷惑をおかけして)?(?:申し訳(?:ござい|あり)ません)[がで]?(?:した)?|現在|ただいま|一時的に",
    # Korean
    r"(?:잠시|나중에|몇 분)? ?(?:후에?|뒤에?)? ?다시 (?:시도|요청|실행)(?:해|하여)? ?(?:주세요|주십시오|하세요|하십시오|바랍니다)?",
    r"(?:현재 |일시적인? |일시적으로 |내부 |네트워크 |시스템 |알 수 없는 |서버 |예기치 않은 ){0,3}"
    r"(?:서비스|서버|시스템|모델|요청|네트워크|오류|연결|호출|응답)[이가은는을를에]? ?(?:일시적으로 |현재 |너무 ){0,2}"
    r"(?:시간이 )?(?:과부하 상태입니다|사용할 수 없습니다|이용할 수 없습니다|혼잡합니다|실패했습니다|초과되었습니다|발생했습니다|응답하지"
    r" 않습니다|연결할 수 없습니다|많습니다|처리할 수 없습니다)",
    r"(?:관리자|고객센터|지원팀|고객지원)(?:에게|에|로)? ?(?:문의|연락)(?:해 주세요|하세요|하십시오|해 주십시오|바랍니다)?",
    r"(?:이용에 )?불편을 드려 죄송합니다|죄송합니다|(?:네트워크 )?연결(?: 상태)?[을를] 확인(?:해 주세요|하세요|해 주십시오)",
)


_WORDS: Final = (
    # Chinese: who speaks with whom, what is asked for and returned, what is done about it
    "助手 服务器? 服務 伺服器 系统 系統 模型 网络 網路 网关 接口 上游 下游 后端 後端 請求 请求 消息 訊息 回答 回复 回應 响应 响应 連線 连接 通信 頁面 页面"
    " 浏览器 使用人数 使用人數 人数 用户 时间 時間 时 期间 本次 所有 全部 均 主 备用 備用 切换到? 切換到? 规定 規定 内 之前 之后 前 后 已被? 被对方? 取消 关闭 關閉 返回 重置"
    " 断开 中断 读取 讀取 发送 發送 生成 处理 處理 完成 调用 呼叫 未能 没有 沒有 不能 无法 無法 暂时 暫時 发生 發生 出现 未预期的? 未預期的? 意外 错误 錯誤 失败 失敗 超时 逾時"
    " 缓慢 较慢 较多 过多 繁忙 不可用 不稳定 很?遗憾 抱歉 稍后 稍後 耐心 等待 刷新 重新 再次 整理 尝试 嘗試 联系 开发人员 管理员 恢复 再来 再试 重试 请您? 請您? 您的? 的 了"
    " 当前 目前 现在 正在 已经? 这 該 该 一个 我们"
    # Japanese
    " サーバー? サービス システム モデル リクエスト ネットワーク アクセス ページ 通信 接続 応答 回答 処理 生成 時間 時間内 上流 すべて 全て 問題 障害 エラー 失敗 タイムアウト 混雑"
    " 集中 中断 発生 復旧 再読み込み 再度 もう一度 質問 メンテナンス 状態 一時的 不明 只今 ただいま 現在 場合 解決 連絡 お待ち しばらく 大変 混み合って かかりすぎて"
    " できません でした ません しました します して おります ています います いる ください 下さい ため まで から との の は が を に で も な ご お"
    # Korean
    " 서버와?의? 서비스 시스템 모델 요청 네트워크 통신 연결 응답 질문 페이지 이용자?가? 이용 접속자? 장애 오류 문제 점검 일시적인? 모든 호출 처리 생성 지연 원활 계속 고객센터 관리자"
    " 새로고침 다시 잠시 뒤 후 많아 하지 못했습니다 않습니다 끊어졌습니다 되고 있습니다 했습니다 실패 발생 시도 문의 해 주세요 주시기 바랍니다 중입니다 하는 중에 되면 현재"
)
"""Words that a loop speaks with of its own calls. They say nothing either, where few characters say much."""


@functools.cache
def _general_words() -> re.Pattern[str]:
    """Compile the words, the longest first."""
    return re.compile("|".join(sorted(_WORDS.split(), key=len, reverse=True)))


@functools.cache
def _clauses(*, spaced: bool) -> re.Pattern[str]:
    """Compile one half of the table when a text first needs it."""
    if not spaced:
        return re.compile("|".join(f"(?:{each})" for each in _WITHOUT))
    return re.compile(r"\b(?:" + "|".join(f"(?:{each})" for each in _WITH_SPACES).replace(" ", " {1,3}") + r")\b")


@functools.cache
def _beginnings() -> frozenset[str]:
    """Return the first three letters of every word that a clause may have."""
    return frozenset(word[:3] for pattern in _WITH_SPACES for word in re.findall(r"[^\W\d_]{3,}", pattern))


def has_words_of_its_own(text: str, weight: int) -> bool:
    """Whether the words of a text that no clause has weigh so much: then what remains of it does.

    Args:
        text: Normalised, in a script with spaces between words.
        weight: Units.
    """
    own = 0
    for word in text[:_LONGEST].split(" "):
        if len(word) > 3 and word.isalpha() and word[:3] not in _beginnings():
            own += len(word)
            if own >= weight:
                return True
    return False


def without_general_clauses(text: str, length: int | None = None) -> str:
    """Return what remains of the start of a text without clauses that everybody says.

    Args:
        text: Normalised; whole, so that a clause is known that the start breaks off in.
        length: Characters of the start.
    """
    end = len(text) if length is None else length
    looked, beyond = text[:_LONGEST], text[_LONGEST:end]
    plain = looked.translate(_STOPS)
    kept = bytearray(b"\1") * len(plain)
    patterns = [_clauses(spaced=True)]
    if is_spaceless(plain):
        patterns += (_clauses(spaced=False), _general_words())
    for pattern in patterns:
        for found in pattern.finditer(plain):
            kept[found.start() : found.end()] = bytes(found.end() - found.start())
    rest = "".join([sign if keep else " " for sign, keep in zip(looked[:end], kept[:end], strict=True)])
    return " ".join((rest + beyond).split())
